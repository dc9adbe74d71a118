package mysqltest_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/mysqltest"
	"sluice/internal/mysqltest/servertest"
)

// A stand-in for the docker command: it runs the programs of this machine's own
// MySQL, as one process under the name that it was given. So our command lines
// are tried, and that killing the client would not be enough; the image is not.
const dockerStandIn = `#!/bin/sh
command=$1; shift
case $command in
info) exit 0 ;;
image) exit 0 ;;
kill) exec kill -KILL "$(cat "$STANDIN/$1")" ;;
esac
name=unnamed
while :; do
	case $1 in
	--entrypoint=*) program=${1#*=} ;;
	--name=*) name=${1#*=} ;;
	--*) ;;
	mysql:8.4) shift; break ;;
	*) echo "stand-in: $1?" >&2; exit 2 ;;
	esac
	shift
done
[ "$1" = --no-defaults ] || { echo "stand-in: option files are read" >&2; exit 2; }
shift
. "$STANDIN/$program"
"$@" &
echo $! >"$STANDIN/$name"
trap 'kill -TERM $!' TERM
wait
wait
`

func TestServerInAContainerIsStartedKilledRestartedAndStopped(t *testing.T) {
	native := servertest.Shared(t).Installation()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "docker"), dockerStandIn)
	for program, argv := range mysqltest.CommandLines(native) {
		write(t, filepath.Join(folder, program), "set -- '"+strings.Join(argv, "' '")+"' \"$@\"\n")
	}
	t.Setenv("STANDIN", folder)
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))

	in, err := mysqltest.InDocker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if in.Version != native.Version {
		t.Errorf("version %q, want %q", in.Version, native.Version)
	}
	server, err := mysqltest.Start(t.Context(), mysqltest.Options{Installation: in})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	stopping, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, step := range []func() error{
		server.Kill,
		func() error { return server.Restart(t.Context()) },
		func() error { return server.Shutdown(stopping) },
		func() error { return server.Restart(t.Context()) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	out, err := server.Client("--batch", "--skip-column-names", "--execute=SELECT 1").CombinedOutput()
	if err != nil || string(out) != "1\n" {
		t.Errorf("the shell says %q (%v), want 1", out, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
