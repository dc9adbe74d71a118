package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"sluice/migrator"
)

func newCheck() *cobra.Command {
	c := defaultConfig()
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what is missing on the server, with the statement that mends it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(cmd); err != nil {
				return err
			}
			server, err := c.server()
			if err != nil {
				return err
			}
			complaints, err := migrator.Check(cmd.Context(), server)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, complaint := range complaints {
				fmt.Fprintf(out, "%s\n    %s\n", complaint.Problem, complaint.Mend)
			}
			if len(complaints) > 0 {
				return fmt.Errorf("%d things are missing on %s", len(complaints), c.Backend)
			}
			fmt.Fprintf(out, "%s has all that Sluice needs\n", c.Backend)
			return nil
		},
	}
	c.serverFlags(cmd)
	return cmd
}
