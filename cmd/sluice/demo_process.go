package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ownSluice is this program, serving as a process of its own. It does not
// outlive us, however we end.
type ownSluice struct {
	address string // for clients
	log     string
	cmd     *exec.Cmd
	ended   chan struct{} // closed when it has ended and was waited for
	err     error         // how it ended; to be read after ended is closed
	guard   *exec.Cmd     // see guardScript
	alive   io.WriteCloser
}

// guardScript waits on a pipe that we hold. A line means that all is well; the
// end of the pipe without one means that we died and could not clean up.
const guardScript = `read -r _ && exit 0; kill -KILL "$1"; rm -rf -- "$2"`

// startSluice starts it with these settings and waits until it is ready. What it
// writes goes into folder, which it takes along if we die.
func startSluice(ctx context.Context, folder string, settings ...string) (*ownSluice, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start Sluice: %w", err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	status, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &ownSluice{address: address, log: filepath.Join(folder, "sluice.log"), ended: make(chan struct{})}
	s.cmd = exec.Command(executable, append(settings, "serve",
		"--listen", address, "--http", status, "--state-dir", folder, "--drain-timeout", "2s")...)
	if err := s.start(folder); err != nil {
		return nil, fmt.Errorf("start Sluice: %w", err)
	}
	if err := s.ready(ctx, "http://"+status+"/readyz"); err != nil {
		err = errors.Join(err, s.stop())
		return nil, fmt.Errorf("start Sluice: %w\n%s", err, s.logEnd())
	}
	return s, nil
}

func (s *ownSluice) start(folder string) error {
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	// The terminal's Ctrl-C is for us: Sluice is stopped after its clients.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(s.ended)
		s.err = s.cmd.Wait()
	}()
	s.guard = exec.Command("/bin/sh", "-c", guardScript, "sluice-guard", strconv.Itoa(s.cmd.Process.Pid), folder)
	s.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.alive, err = s.guard.StdinPipe(); err == nil {
		err = s.guard.Start()
	}
	if err != nil {
		s.cmd.Process.Kill()
		<-s.ended
	}
	return err
}

// ready waits until Sluice says that it is.
func (s *ownSluice) ready(ctx context.Context, url string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if answer, err := client.Do(request); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-look.C:
		case <-s.ended:
			return fmt.Errorf("it ended at once: %w", s.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stop has Sluice drain, and waits until it is gone.
func (s *ownSluice) stop() error {
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	insist := time.AfterFunc(undoTimeout, func() { s.cmd.Process.Kill() })
	<-s.ended
	insist.Stop()
	_, dismissed := io.WriteString(s.alive, "\n")
	err = errors.Join(err, s.err, dismissed, s.alive.Close(), s.guard.Wait())
	if err != nil {
		return fmt.Errorf("stop Sluice: %w", err)
	}
	return nil
}

// logEnd is the last part of the log.
func (s *ownSluice) logEnd() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// freeAddress is one where nobody listens. If somebody takes it before Sluice
// does, Sluice says so.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
