package docstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

type goPackage struct {
	ImportPath, Doc string
	Imports         []string
	GoFiles         []string
}

func packages(t *testing.T) map[string]goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]goPackage{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

func TestArrowsPointDown(t *testing.T) {
	all := packages(t)
	ours := func(p string) bool { return strings.HasPrefix(p, "sluice/") }
	rules := []struct {
		from   string // a package, or a folder of packages with a slash at its end
		may    func(imported string) bool
		reason string
	}{
		{"sluice/parser", func(p string) bool { return !ours(p) }, "parser is a leaf: text in, value out"},
		{"sluice/internal/wire", func(p string) bool { return !ours(p) && p != "net" }, "wire is bytes and values: no sockets"},
		{"sluice/internal/mysqlerr", func(p string) bool { return !ours(p) }, "mysqlerr is a leaf"},
		{"sluice/proxy", func(p string) bool {
			return !ours(p) || p == "sluice/parser" || p == "sluice/internal/wire" || p == "sluice/internal/eventloop" || p == "sluice/internal/mysqlerr"
		}, "the proxy knows sessions, not migrations"},
		{"sluice/migrator", func(p string) bool { return p != "sluice/proxy" }, "the migrator knows no proxy: it has its own small interfaces"},
		{"sluice/cutover", func(p string) bool { return p != "sluice/proxy" && p != "sluice/migrator" }, "the cutover swaps two tables, and nothing else"},
		{"sluice/internal/", func(p string) bool { return !ours(p) || strings.HasPrefix(p, "sluice/internal/") }, "internal packages are below all others"},
		{"sluice/", func(p string) bool { return !strings.HasPrefix(p, "sluice/cmd/") }, "nobody imports the wiring"},
	}
	for _, rule := range rules {
		found := false
		for path, p := range all {
			if path != rule.from && !(strings.HasSuffix(rule.from, "/") && strings.HasPrefix(path, rule.from)) {
				continue
			}
			found = true
			for _, imported := range p.Imports {
				if !rule.may(imported) {
					t.Errorf("%s imports %s, but %s", path, imported, rule.reason)
				}
			}
		}
		if !found {
			t.Errorf("there is no package %s", rule.from)
		}
	}
	for path, p := range all {
		if slices.Contains(p.Imports, "sluice/proxy") && slices.Contains(p.Imports, "sluice/migrator") && path != "sluice/cmd/sluice" {
			t.Errorf("%s imports proxy and migrator; only cmd/sluice introduces them", path)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for path, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", path)
		}
	}
}

// files are those that git would hand out.
func files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			switch e.Name() {
			case ".git", ".sluice", "bin", "node_modules":
				return filepath.SkipDir
			}
			return nil
		}
		text, err := os.ReadFile(path)
		all[filepath.ToSlash(path[len(root)+1:])] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDocumentsSpeakOfWhatIsThere(t *testing.T) {
	all := files(t)
	var tests strings.Builder
	for name, text := range all {
		if strings.HasSuffix(name, "_test.go") {
			tests.WriteString(text)
		}
	}
	for _, name := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(all["ARCHITECTURE.md"], -1) {
		if !strings.Contains(tests.String(), "func "+name+"(") {
			t.Errorf("ARCHITECTURE.md names %s, which is not there", name)
		}
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for name, text := range all {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	}
	for _, target := range regexp.MustCompile(`make ([a-z]+)`).FindAllStringSubmatch(all["README.md"], -1) {
		if !strings.Contains(all["Makefile"], "\n"+target[1]+":") {
			t.Errorf("README.md speaks of make %s, which the Makefile does not have", target[1])
		}
	}
}

func TestNothingNamesThisMachine(t *testing.T) {
	machine := regexp.MustCompile(`(^|[\s"'` + "`" + `(=:])/(work|root|home)/|\.\./sha` + `red\b`)
	for name, text := range files(t) {
		if where := machine.FindString(text); where != "" && !strings.HasPrefix(name, "internal/docstest/") {
			t.Errorf("%s contains %q", name, where)
		}
	}
}
