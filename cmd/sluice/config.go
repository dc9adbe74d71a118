package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/migrator"
)

// config is what a user can set: defaults, then the file, then the flags. The
// keys of the file are the names of the flags.
type config struct {
	Listen       string        `toml:"listen"`
	Backend      string        `toml:"backend"`
	User         string        `toml:"user"`
	PasswordFile string        `toml:"password-file"`
	HTTP         string        `toml:"http"`
	Mode         migrator.Mode `toml:"mode"`

	TLSCert  string `toml:"tls-cert"`
	TLSKey   string `toml:"tls-key"`
	StateDir string `toml:"state-dir"`

	DrainTimeout   duration `toml:"drain-timeout"`
	MaxConnections int      `toml:"max-connections"`
	RelayLoops     int      `toml:"relay-loops"`
	LogFormat      string   `toml:"log-format"`

	file string
}

// duration is a time.Duration that is written as "10s" in the file, too.
type duration struct{ time.Duration }

// UnmarshalText reads "10s".
func (d *duration) UnmarshalText(text []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(text))
	return err
}

func defaultConfig() config {
	return config{
		Listen: "127.0.0.1:3307", Backend: "127.0.0.1:3306", User: "sluice", Mode: migrator.Auto,
		DrainTimeout: duration{10 * time.Second}, LogFormat: "text",
	}
}

// serverFlags are the flags of every command that talks to the server.
func (c *config) serverFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.file, "config", "", "file with these settings, in TOML; flags go before it")
	f.StringVar(&c.Backend, "backend", c.Backend, "address of the MySQL server, host:port")
	f.StringVar(&c.User, "user", c.User, "Sluice's own account on the server")
	f.StringVar(&c.PasswordFile, "password-file", "", "file with that account's password; without it SLUICE_PASSWORD, else none")
}

func (c *config) serveFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.Listen, "listen", c.Listen, "address for clients, host:port")
	f.StringVar(&c.HTTP, "http", "", "address for /metrics, /healthz and /readyz; empty: none")
	f.StringVar((*string)(&c.Mode), "mode", string(c.Mode), "which ALTERs are carried out online: auto, online or native")
	f.StringVar(&c.TLSCert, "tls-cert", "", "certificate for clients, PEM; without it one is generated and kept")
	f.StringVar(&c.TLSKey, "tls-key", "", "its key")
	f.StringVar(&c.StateDir, "state-dir", "", "where the generated certificate is kept (default: the user's configuration folder)")
	f.DurationVar(&c.DrainTimeout.Duration, "drain-timeout", c.DrainTimeout.Duration, "how long sessions may take to leave after SIGTERM")
	f.IntVar(&c.MaxConnections, "max-connections", 0, "number of clients beyond which error 1040 is the answer; 0 leaves it to the server")
	f.IntVar(&c.RelayLoops, "relay-loops", 0, "event loops that relay sessions; 0: one for every two processors")
	f.StringVar(&c.LogFormat, "log-format", c.LogFormat, "text or json")
}

// load reads the file, if one is named, and puts the flags that were given on
// top of it.
func (c *config) load(cmd *cobra.Command) error {
	if c.file != "" {
		text, err := os.ReadFile(c.file)
		if err != nil {
			return fmt.Errorf("read the configuration: %w", err)
		}
		given := map[string]string{}
		cmd.Flags().Visit(func(f *pflag.Flag) { given[f.Name] = f.Value.String() })
		decoder := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
		if err := decoder.Decode(c); err != nil {
			return describeTOML(c.file, err)
		}
		for name, value := range given {
			if err := cmd.Flags().Set(name, value); err != nil {
				return err
			}
		}
	}
	return c.validate()
}

// describeTOML makes one line of the decoder's error, with the place.
func describeTOML(file string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		var keys []string
		for _, e := range unknown.Errors {
			row, _ := e.Position()
			keys = append(keys, fmt.Sprintf("%s:%d: unknown key %q", file, row, strings.Join(e.Key(), ".")))
		}
		return errors.New(strings.Join(keys, "; "))
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		row, column := bad.Position()
		return fmt.Errorf("%s:%d:%d: %s", file, row, column, bad.Error())
	}
	return fmt.Errorf("%s: %w", file, err)
}

// validate lists every complaint at once.
func (c *config) validate() error {
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for name, address := range map[string]string{"listen": c.Listen, "backend": c.Backend, "http": c.HTTP} {
		if address == "" && name == "http" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			complain("%s must be host:port, not %q", name, address)
		}
	}
	switch c.Mode {
	case migrator.Auto, migrator.Online, migrator.Native:
	default:
		complain("mode must be auto, online or native, not %q", string(c.Mode))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		complain("tls-cert and tls-key go together")
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		complain("log-format must be text or json, not %q", c.LogFormat)
	}
	if c.User == "" {
		complain("user must not be empty")
	}
	if c.MaxConnections < 0 || c.RelayLoops < 0 || c.DrainTimeout.Duration < 0 {
		complain("max-connections, relay-loops and drain-timeout must not be negative")
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// server is the account and address of Sluice's own connections.
func (c *config) server() (*mysql.Config, error) {
	password := os.Getenv("SLUICE_PASSWORD")
	if c.PasswordFile != "" {
		text, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	s := mysql.NewConfig()
	s.Net, s.Addr, s.User, s.Passwd = "tcp", c.Backend, c.User, password
	s.TLSConfig = "preferred"
	s.Timeout = 10 * time.Second
	s.Logger = &mysql.NopLogger{}
	return s, nil
}

// stateDir is where the generated certificate is kept.
func (c *config) stateDir() (string, error) {
	if c.StateDir != "" {
		return c.StateDir, nil
	}
	base, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the generated certificate: %w; name one with --state-dir", err)
	}
	return filepath.Join(base, "sluice"), nil
}
