"""Every row of the table of hostile and corrupt images, each as a test with an image that the test builds."""
