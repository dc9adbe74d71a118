package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice/migrator"
)

func newStatus() *cobra.Command {
	c := defaultConfig()
	var all bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the migrations: phase, progress, rows per second, time left, what they wait for",
		Long: "Show the migrations: phase, progress, rows per second, time left, what they wait for.\n" +
			"The same rows are to be had with SELECT * FROM sluice.migrations.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(cmd); err != nil {
				return err
			}
			return status(cmd.Context(), cmd.OutOrStdout(), &c, all)
		},
	}
	c.serverFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "also those that ended more than a day ago")
	return cmd
}

func status(ctx context.Context, out io.Writer, c *config, all bool) error {
	server, err := c.server()
	if err != nil {
		return err
	}
	list, err := migrator.List(ctx, server, all)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintln(out, "no migrations")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTABLE\tPHASE\tPROGRESS\tROWS\tROWS/S\tLEFT\tWAITING FOR / ENDED WITH\tSTATEMENT")
	for _, m := range list {
		left, note := "", m.WaitingFor
		if m.Left > 0 {
			left = m.Left.Round(time.Second).String()
		}
		if m.Phase.Terminal() {
			note = m.Message
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d/%d\t%.0f\t%s\t%s\t%s\n", m.ID, m.Table, m.Phase, m.Bar(20), m.RowsCopied, m.RowsTotal, m.RowsPerSecond, left, note, m.Statement)
	}
	return w.Flush()
}
