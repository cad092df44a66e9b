"""What all tests stand on."""

import signal

# A shell without job control has its background jobs ignore SIGINT, nohup(1) has them ignore SIGHUP, and their children
# inherit that: there the tests of interrupts would wait in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
