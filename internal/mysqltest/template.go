package mysqltest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// newDataFolder makes data in folder an initialised data folder for in. To
// initialise one takes seconds, so that is done once and copied from then on.
func newDataFolder(ctx context.Context, in *Installation, data string) error {
	identity := fmt.Sprint(in.Origin, in.Version, os.Geteuid())
	name := fmt.Sprintf("data-%s-%.4x", in.Version, sha256.Sum256([]byte(identity)))
	template, err := makeOnce(ctx, name, func(empty string) error { return initialise(ctx, in, empty) })
	if err != nil {
		return fmt.Errorf("initialise a data folder: %w", err)
	}
	if err := os.CopyFS(data, os.DirFS(filepath.Join(template, "data"))); err != nil {
		return fmt.Errorf("copy an initialised data folder: %w", err)
	}
	// It holds the server's UUID, and the server writes a new one.
	if err := os.Remove(filepath.Join(data, "auto.cnf")); err != nil {
		return fmt.Errorf("copy an initialised data folder: %w", err)
	}
	return nil
}

func initialise(ctx context.Context, in *Installation, folder string) error {
	log := filepath.Join(folder, "error.log")
	argv := append(in.server(folder, "sluice-initialise-"+filepath.Base(folder)),
		"--initialize-insecure",
		"--datadir="+filepath.Join(folder, "data"),
		"--log-error="+log,
		"--secure-file-priv=",
		"--loose-innodb-redo-log-capacity=32M", // every copy has it
	)
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mysqld --initialize-insecure: %w: %s%s", err, out, complaints(log, 0))
	}
	return nil
}
