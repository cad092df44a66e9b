"""External programs and libraries, each behind one module that nothing else imports."""
