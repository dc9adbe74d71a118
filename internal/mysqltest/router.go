package mysqltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
)

// Router is the command line that runs MySQL Router, and the folder of its
// plugins, "" if it knows. It is the one on PATH, else Debian's, fetched as the
// server is.
func Router(ctx context.Context, progress io.Writer) (argv []string, plugins string, err error) {
	if path, err := exec.LookPath("mysqlrouter"); err == nil {
		return []string{path}, "", nil
	}
	if _, err := exec.LookPath("dpkg"); err != nil {
		return nil, "", errors.New("mysqlrouter is not on PATH, and this is no Debian")
	}
	tree, err := makeOnce(ctx, "router", func(empty string) error {
		fmt.Fprintln(progress, "fetching MySQL Router from Debian's archive (25 MB, once)")
		return fetchDebian(ctx, empty, "mysql-router")
	})
	if err != nil {
		return nil, "", fmt.Errorf("packages of Debian: %w", err)
	}
	in, err := unpacked(tree)
	if err != nil {
		return nil, "", fmt.Errorf("packages of Debian in %s: %w", tree, err)
	}
	in.loader[len(in.loader)-1] += ":" + filepath.Join(in.base, "lib", "mysql-router")
	return in.native("mysqlrouter"), filepath.Join(in.base, "lib", "mysqlrouter", "plugin"), nil
}
