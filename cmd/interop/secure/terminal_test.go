package secure

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"unsafe"
)

// terminal is a pseudo-terminal (pty(7)) at which a command is typed.
type terminal struct {
	*dialogue
	master *os.File
}

// atTerminal starts a command that finds itself at a terminal of its own.
func atTerminal(t *testing.T, dir string, command ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	var number, unlock int32
	ioctl(t, master, syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	ioctl(t, master, syscall.TIOCGPTN, unsafe.Pointer(&number))
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()

	d := &dialogue{command: exec.Command(command[0], command[1:]...), input: master, ended: make(chan struct{}), changed: make(chan struct{})}
	d.command.Dir = dir
	d.command.Stdin, d.command.Stdout, d.command.Stderr = slave, slave, slave
	d.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := d.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		io.Copy(d, master) // ends with EIO once nobody has the other side open
		d.command.Wait()
		close(d.ended)
	}()
	d.killWith(t)
	return &terminal{d, master}
}

// password types one when the command has asked for it and no longer echoes.
func (x *terminal) password(t *testing.T, prompt, password string) {
	t.Helper()
	x.until(t, prompt)
	eventually(t, "the terminal stops echoing", func() bool {
		var mode syscall.Termios
		ioctl(t, x.master, syscall.TCGETS, unsafe.Pointer(&mode))
		return mode.Lflag&syscall.ECHO == 0
	})
	x.say(t, password+"\n")
}

func ioctl(t *testing.T, f *os.File, request uintptr, argument unsafe.Pointer) {
	t.Helper()
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(argument)); e != 0 {
		t.Fatalf("ioctl %#x: %v", request, e)
	}
}
