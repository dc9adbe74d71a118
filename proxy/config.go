package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of Config.
const (
	// DefaultHandshakeTimeout is shorter than the server's connect_timeout of
	// 10 s, so that it is us who give a slow client up.
	DefaultHandshakeTimeout = 8 * time.Second
	DefaultDrainTimeout     = 10 * time.Second
)

// Config says where clients come from, where the server is and who takes over ALTERs.
type Config struct {
	// Listener accepts the clients, whose connections are TCP or Unix sockets. If it is nil, New listens on Listen.
	Listener net.Listener
	Listen   string

	// Dial connects to the server, by TCP or a Unix socket. If it is nil, Backend, host:port, is dialled.
	Dial    func(ctx context.Context) (net.Conn, error)
	Backend string

	// TLS is offered to clients; nil offers none.
	TLS *tls.Config
	// BackendTLS is used towards the server for the clients that use TLS, if
	// the server offers it. If it is nil, the server's certificate is not verified.
	BackendTLS *tls.Config

	// Alterer takes over ALTERs. If it is nil, all are forwarded.
	Alterer Alterer

	// Logger receives a line per event worth one, none per statement; nil discards.
	Logger *slog.Logger
	// Registerer receives the metrics; nil keeps them to ourselves.
	Registerer prometheus.Registerer

	// HandshakeTimeout bounds the time from accepting a client to its first command.
	HandshakeTimeout time.Duration
	// DrainTimeout bounds the time from the end of Run's context to its return.
	DrainTimeout time.Duration
	// Loops is the number of event loops that relay; 0 is one for every two
	// processors, since clients and servers need some, too.
	Loops int
	// MaxConnections is the number of clients beyond which error 1040 is the
	// answer; 0 leaves the limit to the server.
	MaxConnections int
}

// withDefaults fills in what was left out and complains of what cannot be.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Listener == nil && c.Listen == "" {
		errs = append(errs, errors.New("proxy: neither Listener nor Listen is set"))
	}
	if c.Dial == nil && c.Backend == "" {
		errs = append(errs, errors.New("proxy: neither Dial nor Backend is set"))
	}
	if c.MaxConnections < 0 || c.Loops < 0 {
		errs = append(errs, errors.New("proxy: MaxConnections or Loops is negative"))
	}
	if c.Dial == nil {
		var dialer net.Dialer
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", c.Backend)
		}
	}
	if c.BackendTLS == nil {
		// The network between proxy and server is as trusted as it is for the
		// clients' own default, ssl-mode=PREFERRED, which verifies nothing.
		c.BackendTLS = &tls.Config{InsecureSkipVerify: true}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	if c.Loops == 0 {
		c.Loops = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if c.HandshakeTimeout <= 0 {
		c.HandshakeTimeout = DefaultHandshakeTimeout
	}
	if c.DrainTimeout <= 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	return c, errors.Join(errs...)
}
