// Package docker_test keeps the compose file's MySQL such that Sluice runs on it.
package docker_test

import (
	"os"
	"strings"
	"testing"

	"sluice/internal/mysqltest/servertest"
	"sluice/migrator"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func TestInitSQLGivesTheAccountWhatSluiceNeeds(t *testing.T) {
	server := servertest.Start(t)
	db := servertest.Open(t, server, "")
	if _, err := db.Exec("CREATE DATABASE app"); err != nil { // as MYSQL_DATABASE does
		t.Fatal(err)
	}
	for _, statement := range strings.Split(read(t, "init.sql"), ";\n") {
		if statement == "" {
			continue
		}
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}

	config := server.Config()
	config.User = "sluice"
	config.Passwd = strings.TrimSpace(read(t, "sluice-password"))
	config.TLSConfig = "preferred"
	complaints, err := migrator.Check(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range complaints {
		t.Error(c)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
