package mysqltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// debianSuite is the suite that has MySQL; the stable ones have MariaDB only.
	debianSuite   = "sid"
	debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
)

// fromDebian uses Debian's MySQL, unpacked in the state folder together with
// every library it needs, libc included: so it runs on any release of Debian.
func fromDebian(ctx context.Context, progress io.Writer) (*Installation, error) {
	for _, tool := range []string{"apt-get", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, errors.New("packages of Debian: this is no Debian")
		}
	}
	tree, err := makeOnce(ctx, "mysql", func(empty string) error {
		fmt.Fprintln(progress, "fetching MySQL from Debian's archive (70 MB, once)")
		return fetchDebian(ctx, empty, "mysql-server-core", "mysql-client-core")
	})
	if err != nil {
		return nil, fmt.Errorf("packages of Debian: %w", err)
	}
	in, err := unpacked(tree)
	if err != nil {
		return nil, fmt.Errorf("packages of Debian in %s: %w", tree, err)
	}
	return in, in.check(ctx)
}

// unpacked is the installation in tree, which has a libc of its own. Its
// programs must run with that, by that libc's loader.
func unpacked(tree string) (*Installation, error) {
	// Named for the architecture: ld-linux-x86-64.so.2, ld-linux-aarch64.so.1, …
	loaders, err := filepath.Glob(filepath.Join(tree, "usr", "lib", "*", "ld*.so.[0-9]*"))
	if err != nil {
		return nil, err
	}
	if len(loaders) == 0 {
		return nil, errors.New("no dynamic loader there")
	}
	libraries := filepath.Dir(loaders[0])
	usr := filepath.Join(tree, "usr")
	return &Installation{
		Origin:  "Debian's packages in " + tree,
		folders: []string{filepath.Join(usr, "sbin"), filepath.Join(usr, "bin")},
		loader:  []string{loaders[0], "--library-path", libraries + ":" + filepath.Join(libraries, "mysql")},
		share:   filepath.Join(usr, "share", "mysql"),
		base:    usr,
	}, nil
}

// fetchDebian downloads and unpacks the packages into tree.
func fetchDebian(ctx context.Context, tree string, packages ...string) error {
	apt, err := newPrivateApt(ctx, tree+"-apt")
	if err != nil {
		return err
	}
	defer os.RemoveAll(apt.folder)
	if err := apt.download(ctx, packages); err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(apt.folder, "archives", "*.deb"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		if _, err := run(ctx, "dpkg", "--extract", archive, tree); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(archive), err)
		}
	}
	return nil
}

// privateApt is an apt with a state of its own, in which nothing is installed:
// so it resolves the packages down to libc, and changes nothing of the system.
type privateApt struct {
	folder string
	arch   string
}

func newPrivateApt(ctx context.Context, folder string) (*privateApt, error) {
	arch, err := run(ctx, "dpkg", "--print-architecture")
	if err != nil {
		return nil, fmt.Errorf("ask for the architecture: %w", err)
	}
	if err := os.RemoveAll(folder); err != nil {
		return nil, err
	}
	for _, sub := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "status"), nil, 0o644); err != nil {
		return nil, err
	}
	return &privateApt{folder: folder, arch: strings.TrimSpace(arch)}, nil
}

// download gets the packages from the first of the machine's own package sources
// that has them: no mirror is written down here, and the machine's proxies and
// credentials for it go on working.
func (a *privateApt) download(ctx context.Context, packages []string) error {
	// Without release info also the sources that were never updated are listed.
	out, err := run(ctx, "apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI)", "Created-By: Packages")
	if err != nil {
		return fmt.Errorf("list the package sources: %w", err)
	}
	var sources []string
	for _, source := range strings.Fields(out) {
		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	if len(sources) == 0 {
		return errors.New("apt has no package sources")
	}
	var errs []error
	for _, source := range sources {
		if err = a.downloadFrom(ctx, source, packages); err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("no package source has %s: %w", strings.Join(packages, " and "), errors.Join(errs...))
}

func (a *privateApt) downloadFrom(ctx context.Context, source string, packages []string) error {
	options := "arch=" + a.arch + " target=Packages"
	if exists(debianKeyring) {
		options += " signed-by=" + debianKeyring
	}
	line := fmt.Sprintf("deb [%s] %s %s main\n", options, source, debianSuite)
	if err := os.WriteFile(filepath.Join(a.folder, "sources.list"), []byte(line), 0o644); err != nil {
		return err
	}
	if err := a.get(ctx, "update"); err != nil {
		return err
	}
	return a.get(ctx, append([]string{"install", "--yes", "--download-only"}, packages...)...)
}

func (a *privateApt) get(ctx context.Context, args ...string) error {
	options := []string{
		"-qq", "-oAPT::Update::Error-Mode=any",
		"-oDir::Etc::sourcelist=" + filepath.Join(a.folder, "sources.list"),
		"-oDir::Etc::sourceparts=/dev/null",
		"-oDir::State::Lists=" + filepath.Join(a.folder, "lists"),
		"-oDir::State::status=" + filepath.Join(a.folder, "status"),
		"-oDir::Cache::archives=" + filepath.Join(a.folder, "archives"),
		"-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache=",
		"-oAPT::Install-Recommends=false",
		"-oAcquire::Languages=none",
		"-oAcquire::Retries=3",
		"-oDebug::NoLocking=1",
	}
	if os.Geteuid() == 0 {
		// The user that apt would drop to cannot reach this folder.
		options = append(options, "-oAPT::Sandbox::User=root")
	}
	if _, err := run(ctx, "apt-get", append(options, args...)...); err != nil {
		return fmt.Errorf("apt-get %s: %w", args[0], err)
	}
	return nil
}

// run returns what a command printed; what it complained about is in the error.
func run(ctx context.Context, name string, args ...string) (string, error) {
	var complaint strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return string(out), nil
}
