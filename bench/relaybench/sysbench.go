package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// tableSize is the number of rows of the one table.
const tableSize = 100_000

// run is what one run of sysbench measured.
type run struct {
	Queries float64 // in all
	Rate    float64 // queries per second
	P95     float64 // of a transaction, in milliseconds
	Errors  float64
	CPU     float64 // seconds, of the proxy
}

// prepare makes the table.
func (b *bench) prepare(ctx context.Context) error {
	_, err := b.sysbenchCommand(ctx, setting{Workload: "oltp_read_write", TLS: plain, Connections: 1}, b.ways[0], "prepare")
	return err
}

func (b *bench) sysbench(ctx context.Context, s setting, w way, seconds int) (run, error) {
	out, err := b.sysbenchCommand(ctx, s, w, "run", "--time="+strconv.Itoa(seconds))
	if err != nil {
		return run{}, err
	}
	return parseSysbench(out)
}

func (b *bench) sysbenchCommand(ctx context.Context, s setting, w way, verb string, more ...string) (string, error) {
	c := b.config()
	host, port, err := net.SplitHostPort(w.addr)
	if err != nil {
		return "", err
	}
	args := append([]string{
		s.Workload, "--db-driver=mysql", "--mysql-host=" + host, "--mysql-port=" + port, "--mysql-user=" + c.User,
		"--mysql-password=" + c.Passwd, "--mysql-db=" + c.DBName, "--tables=1", fmt.Sprint("--table-size=", tableSize),
		fmt.Sprint("--threads=", s.Connections), "--mysql-ssl=" + map[string]string{plain: "off", secure: "on"}[s.TLS],
	}, more...)
	cmd := exec.CommandContext(ctx, "sysbench", append(args, verb)...)
	if cmd.Dir, err = b.sysbenchFolder(); err != nil {
		return "", err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		why := fatal.FindString(string(out))
		return "", fmt.Errorf("sysbench: %w: %s\n\n%s", err, why, out)
	}
	return string(out), nil
}

// sysbenchFolder holds the certificates under the names that sysbench looks for
// in its working directory.
func (b *bench) sysbenchFolder() (string, error) {
	folder := filepath.Join(b.folder, "sysbench")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	for name, of := range map[string]string{"cacert.pem": "ca.pem", "client-cert.pem": "client-cert.pem", "client-key.pem": "client-key.pem"} {
		text, err := os.ReadFile(b.certificate(of))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), text, 0o600)
		}
		if err != nil {
			return "", err
		}
	}
	return folder, nil
}

// fatal is a line that says why sysbench gave up.
var fatal = regexp.MustCompile(`(?m)^FATAL: error.*$`)

var sysbenchLines = map[string]*regexp.Regexp{
	"queries": regexp.MustCompile(`(?m)^ +queries: +(\d+)`),
	"rate":    regexp.MustCompile(`(?m)^ +queries: +\d+ +\(([\d.]+) per sec`),
	"errors":  regexp.MustCompile(`(?m)^ +ignored errors: +(\d+)`),
	"p95":     regexp.MustCompile(`(?m)^ +95th percentile: +([\d.]+)`),
}

// parseSysbench reads the report that sysbench 1.0 prints at its end.
func parseSysbench(out string) (run, error) {
	values := map[string]float64{}
	for name, line := range sysbenchLines {
		found := line.FindStringSubmatch(out)
		if found == nil {
			return run{}, fmt.Errorf("sysbench reported no %s:\n%s", name, out)
		}
		v, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			return run{}, err
		}
		values[name] = v
	}
	return run{Queries: values["queries"], Rate: values["rate"], Errors: values["errors"], P95: values["p95"]}, nil
}
