// Command sluice is a MySQL proxy that carries out ALTER TABLE online. See
// README.md for what it does and how to run it.
//
// This package is wiring: flags, configuration, signals, and the introduction
// of the proxy to the migrator. It is the only one that imports both.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the build.
var version = "unknown"

func main() {
	os.Exit(run(os.Args[1:]))
}

// run executes the command line and returns the exit status. The first signal
// asks for an orderly end, the second one ends the process.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from now on a signal has its usual effect
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintln(os.Stderr, "sluice: "+err.Error())
	}
	return 1
}

// errSaid is the error of a command that has already told what is wrong.
var errSaid = errors.New("see above")
