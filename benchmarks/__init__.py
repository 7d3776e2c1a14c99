"""What autotune measures about itself: each module is a command."""
