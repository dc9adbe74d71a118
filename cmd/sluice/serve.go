package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sluice/migrator"
	"sluice/proxy"
)

func newServe() *cobra.Command {
	c := defaultConfig()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Stand between clients and server and carry out ALTERs online",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(cmd); err != nil {
				return err
			}
			return serve(cmd.Context(), &c, newLogger(c.LogFormat))
		},
	}
	c.serverFlags(cmd)
	c.serveFlags(cmd)
	return cmd
}

func newLogger(format string) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, nil))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil))
}

// alterer introduces the migrator to the proxy.
type alterer struct{ migrator *migrator.Migrator }

// Alter implements proxy.Alterer.
func (a alterer) Alter(ctx context.Context, s *proxy.Session, sql string) (proxy.Outcome, error) {
	reply, err := a.migrator.Alter(ctx, s, sql)
	return proxy.Outcome{Native: reply.Native, Result: reply.Result}, err
}

// gate introduces the proxy to the migrator, which is made first.
type gate struct{ server *proxy.Server }

// Hold implements cutover.Gate.
func (g *gate) Hold(schemaName, table string) func() { return g.server.Hold(schemaName, table) }

// instance is a Sluice that is ready to run.
type instance struct {
	config   *config
	log      *slog.Logger
	proxy    *proxy.Server
	migrator *migrator.Migrator
	http     *httpServer // nil: none
}

// newInstance checks the server and opens the listeners.
func newInstance(ctx context.Context, c *config, log *slog.Logger) (*instance, error) {
	server, err := c.server()
	if err != nil {
		return nil, err
	}
	if err := checkServer(ctx, server, log); err != nil {
		return nil, err
	}
	certificate, err := c.certificate()
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	g := &gate{}
	m, err := migrator.New(migrator.Config{Server: server, Mode: c.Mode, Gate: g, Logger: log, Registerer: registry})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for clients: %w", err)
	}
	g.server, err = proxy.New(proxy.Config{
		Listener: listener, Backend: c.Backend, Alterer: alterer{m}, Logger: log, Registerer: registry,
		TLS:          &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		DrainTimeout: c.DrainTimeout.Duration, MaxConnections: c.MaxConnections, Loops: c.RelayLoops,
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	i := &instance{config: c, log: log, proxy: g.server, migrator: m}
	if c.HTTP != "" {
		if i.http, err = newHTTP(c.HTTP, registry, m); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
	}
	return i, nil
}

func buildInfo() prometheus.Collector {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sluice_build_info", Help: "1, with the version as a label."}, []string{"version"})
	g.WithLabelValues(version).Set(1)
	return g
}

func (c *config) certificate() (tls.Certificate, error) {
	if c.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return certificate, fmt.Errorf("read the certificate for clients: %w", err)
		}
		return certificate, nil
	}
	dir, err := c.stateDir()
	if err != nil {
		return tls.Certificate{}, err
	}
	return proxy.LoadOrCreateCertificate(dir)
}

// checkServer refuses a server on which migrations cannot work, with one line
// that says what mends it.
func checkServer(ctx context.Context, server *mysql.Config, log *slog.Logger) error {
	complaints, err := migrator.Check(ctx, server)
	if err != nil {
		return err
	}
	for _, c := range complaints {
		if c.Schema != "" {
			log.Warn("some tables cannot be altered online", "problem", c.Problem, "mend", c.Mend)
		}
	}
	return migrator.Summary(complaints)
}

func serve(ctx context.Context, c *config, log *slog.Logger) error {
	i, err := newInstance(ctx, c, log)
	if err != nil {
		return err
	}
	return i.run(ctx)
}

// run serves until ctx ends, then drains: sessions leave first, then the
// migrations stop at their checkpoints, last the HTTP server.
func (i *instance) run(ctx context.Context) error {
	i.log.Info("serving", "listen", i.proxy.Addr().String(), "backend", i.config.Backend, "mode", string(i.config.Mode), "version", version)
	g, ctx := errgroup.WithContext(ctx)
	migrating, stopMigrating := context.WithCancel(context.WithoutCancel(ctx))
	defer stopMigrating()
	watched, stopHTTP := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHTTP()
	g.Go(func() error {
		defer stopMigrating()
		return i.proxy.Run(ctx)
	})
	g.Go(func() error {
		defer stopHTTP()
		return i.migrator.Run(migrating)
	})
	if i.http != nil {
		context.AfterFunc(ctx, i.http.draining)
		g.Go(func() error { return i.http.run(watched) })
	}
	err := g.Wait()
	i.log.Info("stopped")
	return err
}
