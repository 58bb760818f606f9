"""What every compatibility suite needs: programs to start, addresses to call from, bytes to record."""
