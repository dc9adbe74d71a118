package mysqltest

import (
	"strings"
	"testing"
)

func TestOnlyMySQLOfAUsableVersionIsTaken(t *testing.T) {
	for _, c := range []struct{ banner, version, refusal string }{
		{"mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))", "9.7.4-2", ""},
		{"/usr/sbin/mysqld  Ver 8.4.3 for Linux on aarch64 (MySQL Community Server - GPL)", "8.4.3", ""},
		{"mysqld  Ver 8.0.13 for linux-glibc2.12 on x86_64", "8.0.13", ""},
		{"mysqld  Ver 8.0.12 for Linux on x86_64", "", "too old"},
		{"mysqld  Ver 5.7.44 for Linux on x86_64", "", "too old"},
		{"mysqld  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)", "", "MariaDB"},
		{"busybox", "", "not a version"},
		{"", "", "not a version"},
	} {
		got, err := usable(c.banner)
		if c.refusal == "" && (err != nil || got != c.version) {
			t.Errorf("%q: got %q, %v; want %q", c.banner, got, err, c.version)
		}
		if c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)) {
			t.Errorf("%q: got %q, %v; want it refused as %q", c.banner, got, err, c.refusal)
		}
	}
}
