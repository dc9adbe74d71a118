package mysqltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	// startTimeout bounds a start, if the caller's context does not.
	startTimeout = 2 * time.Minute
	readyRetry   = 20 * time.Millisecond

	// memoryFolder takes the disk's noise out of tests and measurements. It must
	// have room for the data: some containers have 64 MiB there.
	memoryFolder  = "/dev/shm"
	memoryAtLeast = 1 << 30
)

// Options say what kind of server is wanted. The zero value is a good one.
type Options struct {
	// Args are added to the server's command line, where later ones win:
	// "--gtid-mode=OFF", "--skip-log-bin".
	Args []string
	// Installation to run; nil is what Find returns.
	Installation *Installation
	// Progress is told of what takes long; may be nil.
	Progress io.Writer
}

// Server is a MySQL server of ours. Stop must be called when it is no longer
// needed.
type Server struct {
	in     *Installation
	args   []string
	folder string // data, socket, log; removed by Stop
	port   int

	mu      sync.Mutex
	process *process // nil: not running
}

// Start starts a server with an empty data folder and waits until it accepts
// connections.
func Start(ctx context.Context, options Options) (*Server, error) {
	in := options.Installation
	if in == nil {
		var err error
		if in, err = Find(ctx, options.Progress); err != nil {
			return nil, err
		}
	}
	folder, err := os.MkdirTemp(dataParent(), "sluice-mysql-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for MySQL: %w", err)
	}
	s := &Server{in: in, args: options.Args, folder: folder}
	err = newDataFolder(ctx, in, s.path("data"))
	if err == nil {
		s.port, err = freePort()
	}
	if err == nil {
		err = s.Restart(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Installation is what the server runs from.
func (s *Server) Installation() *Installation { return s.in }

// Addr is where the server listens for TCP, as host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Socket is the path of the Unix socket where the server listens.
func (s *Server) Socket() string { return s.path("mysql.sock") }

// Config connects root over TCP. The caller may change it.
func (s *Server) Config() *mysql.Config {
	config := mysql.NewConfig()
	config.User = "root"
	config.Net = "tcp"
	config.Addr = s.Addr()
	return config
}

// DSN connects root to a database over TCP; it may be "".
func (s *Server) DSN(database string) string {
	config := s.Config()
	config.DBName = database
	return config.FormatDSN()
}

// Client is the command that runs the mysql shell as root on this server.
func (s *Server) Client(args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(s.Addr())
	return s.in.Command("mysql", append([]string{"--host=" + host, "--port=" + port, "--user=root"}, args...)...)
}

// Log is the path of the server's error log.
func (s *Server) Log() string { return s.path("error.log") }

// Restart shuts the server down, if it is running, and starts it again with the
// same data, port and arguments. After Kill it starts with crash recovery.
func (s *Server) Restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.shutdownLocked(ctx); err != nil {
		return err
	}
	logged, err := size(s.Log())
	if err != nil {
		return fmt.Errorf("start mysqld: %w", err)
	}
	container := ""
	if s.in.image != "" {
		container = filepath.Base(s.folder)
	}
	p, err := startProcess(s.commandLine(), s.Log(), s.folder, container)
	if err != nil {
		return fmt.Errorf("start mysqld: %w", err)
	}
	if err := s.ready(ctx, p); err != nil {
		// Ended first, so that the log is complete.
		err = errors.Join(err, p.end())
		return fmt.Errorf("start mysqld: %w\n%s", err, complaints(s.Log(), logged))
	}
	s.process = p
	return nil
}

// Shutdown asks the server to shut down and waits until it is gone. The data
// stay. When ctx ends first, the server is killed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shutdownLocked(ctx)
}

func (s *Server) shutdownLocked(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	err := s.process.terminate()
	select {
	case <-s.process.ended:
	case <-ctx.Done():
		err = errors.Join(err, context.Cause(ctx))
	}
	if err = errors.Join(err, s.killLocked()); err != nil {
		return fmt.Errorf("shut mysqld down: %w", err)
	}
	return nil
}

// Kill ends the server at once, as kill -9 does, and waits until it is gone. The
// data stay, for Restart.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.killLocked()
}

func (s *Server) killLocked() error {
	if s.process == nil {
		return nil
	}
	err := s.process.end()
	s.process = nil
	if err != nil {
		return fmt.Errorf("kill mysqld: %w", err)
	}
	return nil
}

// Stop ends the server and removes its data. It does so at once, since nobody is
// left to read what an orderly shutdown would write; Shutdown is orderly. Stop
// may be called again.
func (s *Server) Stop() error {
	return errors.Join(s.Kill(), os.RemoveAll(s.folder))
}

func (s *Server) commandLine() []string {
	argv := append(s.in.server(s.folder, filepath.Base(s.folder)),
		"--datadir="+s.path("data"),
		"--bind-address=127.0.0.1",
		"--port="+strconv.Itoa(s.port),
		"--socket="+s.Socket(),
		"--pid-file="+s.path("pid"),
		"--log-error="+s.Log(),
		"--secure-file-priv=", // the built-in folder need not exist, and then it does not start
		"--loose-mysqlx=OFF",  // would want a port of its own
		"--innodb-buffer-pool-size=256M",
		"--server-id=1",
		"--log-bin=binlog",
		"--gtid-mode=ON",
		"--enforce-gtid-consistency=ON",
	)
	return append(argv, s.args...)
}

// ready waits until the server answers. It asks through the socket, which is in
// our folder: at the port it might be another server that answers.
func (s *Server) ready(ctx context.Context, p *process) error {
	config := s.Config()
	config.Net, config.Addr = "unix", s.Socket()
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	retry := time.NewTicker(readyRetry)
	defer retry.Stop()
	for {
		conn, err := connector.Connect(ctx)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			if p.err == nil {
				return errors.New("it ended at once")
			}
			return p.err
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-retry.C:
		}
	}
}

func (s *Server) path(name string) string { return filepath.Join(s.folder, name) }

// dataParent is the folder to make data folders in.
func dataParent() string {
	var fs syscall.Statfs_t
	if syscall.Statfs(memoryFolder, &fs) == nil && uint64(fs.Bavail)*uint64(fs.Bsize) >= memoryAtLeast {
		if probe, err := os.MkdirTemp(memoryFolder, "sluice-probe-"); err == nil {
			if os.Remove(probe) == nil {
				return memoryFolder
			}
		}
	}
	return os.TempDir()
}

// freePort is a TCP port that nobody uses. It is not one that the kernel hands to
// outgoing connections: nobody shall have taken it when the server restarts.
func freePort() (int, error) {
	const first, count, tries = 20000, 10000, 100
	var err error
	for range tries {
		port := first + rand.IntN(count)
		var listener net.Listener
		listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

func size(path string) (int64, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return info.Size(), nil
}
