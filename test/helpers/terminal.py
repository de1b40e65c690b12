# Runs a command in a terminal of 80 x 24 of its own and prints what it wrote. Its exit code is the command's. The first argument
# is a text: when the command has written it, Ctrl-C is pressed. Empty: never.
import fcntl, os, pty, struct, sys, termios

pid, terminal = pty.fork()
if pid == 0:
    # The size must be there before the command looks.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
awaited = sys.argv[1].encode()
written = b""
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if not data:
        break
    written += data
    if awaited and awaited in written:
        os.write(terminal, b"\x03")
        awaited = b""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
