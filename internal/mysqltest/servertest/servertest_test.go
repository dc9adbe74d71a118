package servertest_test

import (
	"testing"

	"sluice/internal/mysqltest/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func TestTestsShareAServerAndNotADatabase(t *testing.T) {
	server := servertest.Shared(t)
	if again := servertest.Shared(t); again != server {
		t.Errorf("a second server at %s, want the one at %s", again.Addr(), server.Addr())
	}
	one, db := servertest.Database(t, server)
	two, _ := servertest.Database(t, server)
	if one == two {
		t.Errorf("both databases are named %s", one)
	}
	var current string
	if err := db.QueryRow("SELECT DATABASE()").Scan(&current); err != nil || current != one {
		t.Errorf("the connection is in database %q (%v), want %q", current, err, one)
	}
}

func TestDatabaseIsDroppedWhenItsTestEnds(t *testing.T) {
	server := servertest.Shared(t)
	var name string
	t.Run("test", func(t *testing.T) { name, _ = servertest.Database(t, server) })

	var left int
	err := servertest.Open(t, server, "").
		QueryRow("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?", name).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("database %s: %d left (%v)", name, left, err)
	}
}
