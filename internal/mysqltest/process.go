package mysqltest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// process is one run of mysqld.
type process struct {
	cmd   *exec.Cmd
	guard *guard
	kill  []string // command that ends it at once

	ended chan struct{} // closed when it has ended and was waited for
	err   error         // how it ended; to be read after ended is closed
}

// startProcess runs argv. All it prints goes to the file log. When our process
// dies, argv's dies too and folder is removed. A container, if argv runs one, is
// to be named.
func startProcess(argv []string, log, folder, container string) (*process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()

	p := &process{cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = ownGroup()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.kill = []string{"kill", "-KILL", strconv.Itoa(p.cmd.Process.Pid)}
	if container != "" {
		p.kill = []string{"docker", "kill", container} // the client's death would not end it
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	if p.guard, err = newGuard(folder, p.kill); err != nil {
		return nil, errors.Join(err, p.end())
	}
	return p, nil
}

// terminate asks the server to shut down.
func (p *process) terminate() error {
	return ignoreEnded(p.cmd.Process.Signal(syscall.SIGTERM))
}

// end kills the process unless it has ended, and waits until it is gone.
func (p *process) end() error {
	var err error
	select {
	case <-p.ended:
	default:
		if p.kill[0] == "docker" {
			err = exec.Command(p.kill[0], p.kill[1:]...).Run()
		}
		// After a container, its client has nothing more to do either.
		err = errors.Join(err, ignoreEnded(p.cmd.Process.Kill()))
		<-p.ended
	}
	if p.guard != nil {
		err = errors.Join(err, p.guard.dismiss())
	}
	return err
}

func ignoreEnded(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// ownGroup keeps the terminal's signals away: Ctrl-C is for us to handle, and we
// may still need the server then.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// guard is a small process that outlives us in order to clean up. It waits on a
// pipe that we hold. A line means that all is well; the end of the pipe without
// one means that we died, in whatever way, and could not clean up ourselves.
type guard struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
	done bool
}

const guardScript = `read -r _ && exit 0; folder=$1; shift; "$@"; rm -rf -- "$folder"`

func newGuard(folder string, kill []string) (*guard, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", guardScript, "sluice-guard", folder}, kill...)...)
	cmd.SysProcAttr = ownGroup()
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("guard the server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("guard the server: %w", err)
	}
	return &guard{cmd: cmd, pipe: pipe}, nil
}

// dismiss lets the guard go: there is nothing left to clean up.
func (g *guard) dismiss() error {
	if g.done {
		return nil
	}
	g.done = true
	_, err := io.WriteString(g.pipe, "\n")
	if err = errors.Join(err, g.pipe.Close(), g.cmd.Wait()); err != nil {
		return fmt.Errorf("dismiss the server's guard: %w", err)
	}
	return nil
}

// complaints are the errors in the server's log from offset on, or its last
// lines if it calls none of them an error.
func complaints(log string, offset int64) string {
	text, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	const most = 10
	lines := strings.Split(strings.TrimSpace(string(text[min(offset, int64(len(text))):])), "\n")
	var errs []string
	for _, line := range lines {
		if strings.Contains(line, "[ERROR]") {
			errs = append(errs, line)
		}
	}
	if len(errs) > 0 {
		return strings.Join(errs[:min(most, len(errs))], "\n")
	}
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
