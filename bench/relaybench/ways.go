package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"sluice/internal/mysqltest"
)

// way is one way from sysbench to the server.
type way struct {
	name string
	addr string
	pid  int // of the proxy; 0: there is none
}

// direct is the way without a proxy.
const direct = "direct"

// bench is a server, the ways to it, and what else was started.
type bench struct {
	server  *mysqltest.Server
	ways    []way
	folder  string // of all that is written
	started []*exec.Cmd
}

const (
	account  = "bench"
	database = "sbtest"
)

// newBench starts a server and every proxy that there is.
func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{}
	if err := b.open(ctx, o); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bench) open(ctx context.Context, o options) (err error) {
	if b.folder, err = os.MkdirTemp("", "sluice-relaybench-"); err != nil {
		return err
	}
	b.server, err = mysqltest.Start(ctx, mysqltest.Options{Progress: os.Stderr, Args: []string{
		"--max-connections=30000", "--open-files-limit=65535", "--table-open-cache=400", "--thread-stack=192K", "--back-log=10000",
		"--local-infile=ON", "--max-allowed-packet=1G", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2",
	}})
	if err != nil {
		return err
	}
	db, err := sql.Open("mysql", b.server.DSN(""))
	if err != nil {
		return err
	}
	defer db.Close()
	for _, s := range []string{
		"CREATE DATABASE " + database,
		"CREATE USER " + account + "@'%' IDENTIFIED BY '" + account + "'",
		"GRANT ALL ON *.* TO " + account + "@'%'",
	} {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	b.ways = []way{{name: direct, addr: b.server.Addr()}}
	for _, p := range []struct {
		name  string
		start func(context.Context, string, options) (*exec.Cmd, error)
	}{{"haproxy", b.haproxy}, {"router", b.router}, {"sluice", b.sluice}} {
		addr, err := freeAddress()
		if err != nil {
			return err
		}
		cmd, err := p.start(ctx, addr, o)
		if err == nil {
			err = b.start(ctx, p.name, addr, cmd)
		}
		switch {
		case err == nil:
			b.ways = append(b.ways, way{p.name, addr, cmd.Process.Pid})
		case p.name == "sluice":
			return err
		default:
			fmt.Fprintf(os.Stderr, "%s is left out: %v\n", p.name, err)
		}
	}
	return nil
}

// start starts a proxy and waits until it accepts connections.
func (b *bench) start(ctx context.Context, name, addr string, cmd *exec.Cmd) error {
	log, err := os.Create(filepath.Join(b.folder, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	// Ctrl-C is for us, and whatever becomes of us, the proxies end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.started = append(b.started, cmd)
	const patience = 15 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("it does not listen: %s", strings.TrimSpace(string(text)))
		}
	}
}

// close ends everything and removes what it wrote.
func (b *bench) close() error {
	var errs []error
	for _, cmd := range b.started {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if b.server != nil {
		errs = append(errs, b.server.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(b.folder))...)
}

func (b *bench) haproxy(_ context.Context, addr string, _ options) (*exec.Cmd, error) {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		return nil, err
	}
	// HAProxy refuses to start if it may not open two files for each connection.
	const config = `global
  maxconn %d
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen mysql
  bind %s
  server mysql %s
`
	file := filepath.Join(b.folder, "haproxy.cfg")
	text := fmt.Sprintf(config, maxSessions(), addr, b.server.Addr())
	return exec.Command(path, "-q", "-f", file), os.WriteFile(file, []byte(text), 0o600)
}

// maxSessions is how many sessions a proxy has descriptors for.
func maxSessions() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1000
	}
	const spare = 100
	return int(min(limit.Max, 1<<20)-spare) / 2
}

func (b *bench) router(ctx context.Context, addr string, _ options) (*exec.Cmd, error) {
	argv, plugins, err := mysqltest.Router(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	const config = `[DEFAULT]
logging_folder=%[1]s
runtime_folder=%[1]s
data_folder=%[1]s
keyring_path=%[1]s/keyring
max_total_connections=20000
%[2]s
[logger]
level=WARNING
[routing:mysql]
bind_address=%[3]s
bind_port=%[4]s
destinations=%[5]s
routing_strategy=first-available
protocol=classic
max_connections=20000
client_ssl_mode=PREFERRED
server_ssl_mode=AS_CLIENT
client_ssl_cert=%[6]s
client_ssl_key=%[7]s
`
	if plugins != "" {
		plugins = "plugin_folder=" + plugins
	}
	file := filepath.Join(b.folder, "router.conf")
	text := fmt.Sprintf(config, b.folder, plugins, host, port, b.server.Addr(), b.certificate("server-cert.pem"), b.certificate("server-key.pem"))
	argv = append(argv, "--config", file)
	return exec.Command(argv[0], argv[1:]...), os.WriteFile(file, []byte(text), 0o600)
}

func (b *bench) sluice(_ context.Context, addr string, o options) (*exec.Cmd, error) {
	return exec.Command(o.sluice, "serve", "--listen", addr, "--backend", b.server.Addr(), "--user", "root",
		"--tls-cert", b.certificate("server-cert.pem"), "--tls-key", b.certificate("server-key.pem"), "--state-dir", b.folder), nil
}

// certificate is a file of those that the server made for itself.
func (b *bench) certificate(name string) string {
	return filepath.Join(filepath.Dir(b.server.Socket()), "data", name)
}

func (b *bench) config() *mysql.Config {
	c := b.server.Config()
	c.User, c.Passwd, c.DBName = account, account, database
	return c
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// cpu is the processor time that a process has used, in seconds.
func cpu(pid int) (float64, error) {
	if pid == 0 {
		return 0, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(text))
}

// parseStat reads the processor time out of proc(5)'s stat. The ticks are
// hundredths of a second on every Linux that Go runs on.
func parseStat(text string) (float64, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // the name before it may hold anything
	const user, system = 11, 12
	if len(fields) <= system {
		return 0, fmt.Errorf("not a stat of a process: %q", text)
	}
	u, err := strconv.ParseFloat(fields[user], 64)
	if err != nil {
		return 0, err
	}
	s, err := strconv.ParseFloat(fields[system], 64)
	return (u + s) / 100, err
}

// memory is the resident memory of a process, and the most it ever was, in MiB.
func memory(pid int) (now, peak float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kb); n == 1 {
			now = kb / 1024
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			peak = kb / 1024
		}
	}
	return now, peak, nil
}
