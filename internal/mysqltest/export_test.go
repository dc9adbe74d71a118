package mysqltest

import (
	"context"
	"io"
)

// InDocker is Find, looking at Docker only.
func InDocker(ctx context.Context) (*Installation, error) { return inDocker(ctx, io.Discard) }

// CommandLines are the starts of in's command lines, by program.
func CommandLines(in *Installation) map[string][]string {
	return map[string][]string{"mysqld": in.server("", ""), "mysql": in.client("mysql")}
}
