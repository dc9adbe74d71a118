package mysqltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// mysqldEnv names a mysqld that is to be used instead of any other.
const mysqldEnv = "SLUICE_MYSQLD"

// oldest is the first version that Sluice works with: since 8.0.13 a RENAME
// TABLE is allowed under LOCK TABLES.
var oldest = version{8, 0, 13}

// Installation is a way to run MySQL's programs.
type Installation struct {
	// Origin says where the programs are from, for people.
	Origin string
	// Version is the server's own version text, such as "8.4.3".
	Version string

	folders []string // where the programs lie, searched in this order
	loader  []string // command that runs a program of a foreign tree; empty: run it directly
	share   string   // the tree's share/mysql; empty: the programs know it
	base    string   // the tree's /usr; empty: the programs know it
	image   string   // Docker image that has the programs; then nothing of the above is set
}

// Find returns a MySQL that works on this machine, and brings one if there is
// none; see the package comment for where it looks. Bringing one takes a minute
// or so, and is told to progress, which may be nil.
func Find(ctx context.Context, progress io.Writer) (*Installation, error) {
	if progress == nil {
		progress = io.Discard
	}
	if path := os.Getenv(mysqldEnv); path != "" {
		in, err := installed(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("use the server that %s names: %w", mysqldEnv, err)
		}
		return in, nil
	}
	var reasons []error
	for _, look := range []func(context.Context, io.Writer) (*Installation, error){onPath, inDocker, fromDebian} {
		in, err := look(ctx, progress)
		if err == nil {
			return in, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("find MySQL: %w", context.Cause(ctx))
		}
		reasons = append(reasons, err)
	}
	return nil, fmt.Errorf("no MySQL %s or later here; put mysqld on PATH, name one in %s, start Docker, or use Debian:\n%w",
		oldest, mysqldEnv, errors.Join(reasons...))
}

// onPath finds an installed server.
func onPath(ctx context.Context, _ io.Writer) (*Installation, error) {
	path, err := exec.LookPath("mysqld")
	if err != nil {
		// Where distributions put it, and not on every user's PATH.
		path, err = exec.LookPath("/usr/sbin/mysqld")
	}
	if err != nil {
		return nil, errors.New("mysqld: not on PATH")
	}
	return installed(ctx, path)
}

// installed is the installation that the mysqld at path belongs to.
func installed(ctx context.Context, path string) (*Installation, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	folder := filepath.Dir(path)
	in := &Installation{
		Origin:  path,
		folders: []string{folder, filepath.Join(folder, "..", "bin")},
	}
	return in, in.check(ctx)
}

// Command is the command that runs one of MySQL's programs, such as mysql,
// mysqldump or mysqlbinlog, undisturbed by option files of this machine.
func (in *Installation) Command(program string, args ...string) *exec.Cmd {
	argv := append(in.client(program), args...)
	return exec.Command(argv[0], argv[1:]...)
}

func (in *Installation) client(program string) []string {
	if in.image != "" {
		return dockerRun(in.image, program, "--interactive")
	}
	argv := append(in.native(program), "--no-defaults")
	if in.share != "" {
		argv = append(argv, "--character-sets-dir="+filepath.Join(in.share, "charsets"))
	}
	return argv
}

// server is the start of every command line of mysqld; data is the folder that
// holds all it reads and writes, name its container's if it gets one.
func (in *Installation) server(data, name string) []string {
	var argv []string
	if in.image != "" {
		argv = dockerRun(in.image, "mysqld", "--name="+name, "--volume="+data+":"+data)
	} else {
		argv = append(in.native("mysqld"), "--no-defaults")
	}
	if os.Geteuid() == 0 {
		argv = append(argv, "--user=root") // else mysqld refuses to run as root
	}
	if in.base != "" {
		argv = append(argv, "--basedir="+in.base, "--lc-messages-dir="+in.share,
			"--character-sets-dir="+filepath.Join(in.share, "charsets"),
			"--plugin-dir="+filepath.Join(in.base, "lib", "mysql", "plugin"))
	}
	return argv
}

func (in *Installation) native(program string) []string {
	for _, folder := range in.folders {
		path := filepath.Join(folder, program)
		if _, err := exec.LookPath(path); err == nil {
			return append(in.loader[:len(in.loader):len(in.loader)], path)
		}
	}
	return []string{program} // on PATH, or an error that names the program
}

// check asks the server who it is, notes it, and refuses what Sluice cannot use.
func (in *Installation) check(ctx context.Context) error {
	argv := append(in.native("mysqld"), "--no-defaults", "--version")
	if in.image != "" {
		argv = append(dockerRun(in.image, "mysqld"), "--version")
	}
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: ask for its version: %w: %s", in.Origin, err, strings.TrimSpace(string(out)))
	}
	if in.Version, err = usable(string(out)); err != nil {
		return fmt.Errorf("%s: %w", in.Origin, err)
	}
	return nil
}

// usable returns the version in what mysqld --version printed, or why this
// server will not do.
func usable(banner string) (string, error) {
	text, v, ok := parseBanner(banner)
	switch {
	case !ok:
		return "", fmt.Errorf("not a version of MySQL: %q", banner)
	case strings.Contains(banner, "MariaDB"):
		return "", fmt.Errorf("this is MariaDB %s, not MySQL", text)
	case v.less(oldest):
		return "", fmt.Errorf("MySQL %s is too old: Sluice needs %s or later", text, oldest)
	}
	return text, nil
}

var banner = regexp.MustCompile(`Ver ((\d+)\.(\d+)\.(\d+)\S*)`)

func parseBanner(s string) (text string, v version, ok bool) {
	m := banner.FindStringSubmatch(s)
	if m == nil {
		return "", v, false
	}
	for i := range v {
		n, err := strconv.Atoi(m[2+i])
		if err != nil {
			return "", v, false
		}
		v[i] = n
	}
	return m[1], v, true
}

type version [3]int

func (v version) less(w version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }
