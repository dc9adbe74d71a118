package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/mysqltest/servertest"
)

// refusal runs Sluice with arguments that it must refuse and returns the one
// line that it says.
func refusal(t *testing.T, args ...string) string {
	t.Helper()
	cmd := program(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err == nil {
		t.Fatalf("sluice %s ended well:\n%s%s", strings.Join(args, " "), &out, &errs)
	}
	line := strings.TrimSuffix(errs.String(), "\n")
	if strings.Contains(line, "\n") || !strings.HasPrefix(line, "sluice: ") {
		t.Errorf("sluice %s says more than one line, or none of its own:\n%s", strings.Join(args, " "), line)
	}
	return line
}

func TestWrongUseIsOneClearLineAndANonZeroExit(t *testing.T) {
	server := servertest.Shared(t)
	prepareAccounts(t, server)
	admin := servertest.Open(t, server, "")
	for _, s := range []string{
		"CREATE USER IF NOT EXISTS weak@'%' IDENTIFIED BY '" + sluicePassword + "'",
		"GRANT PROCESS, REPLICATION CLIENT ON *.* TO weak@'%'",
		"GRANT SELECT ON performance_schema.* TO weak@'%'",
	} {
		execute(t, admin, s)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	wrongPassword := filepath.Join(t.TempDir(), "wrong")
	configFile := filepath.Join(t.TempDir(), "sluice.toml")
	if err := os.WriteFile(wrongPassword, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(configFile, []byte("listen = '127.0.0.1:0'\nlisten-on = 'x'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := []string{"serve", "--listen", "127.0.0.1:0", "--backend", server.Addr(), "--password-file", passwordFile(t), "--state-dir", certificates}
	with := func(more ...string) []string { return append(append([]string{}, good...), more...) }
	tests := []struct {
		name string
		args []string
		says []string
	}{
		{"server unreachable", with("--backend", freePort(t)), []string{"reach the server at 127.0.0.1:", "connection refused"}},
		{"wrong password", with("--password-file", wrongPassword), []string{"1045", "Access denied for user 'sluice'"}},
		{"no password file", with("--password-file", "/nonexistent"), []string{"read the password", "no such file"}},
		{"missing privileges", with("--user", "weak"), []string{
			"lacks REPLICATION SLAVE on *.*", "GRANT REPLICATION SLAVE ON *.* TO 'weak'@'%'", "on `sluice`.*", "on `sluice\\_%`.*", "LOCK TABLES, TRIGGER on *.*"}},
		{"port taken", with("--listen", taken.Addr().String()), []string{"listen for clients", "address already in use"}},
		{"HTTP port taken", with("--http", taken.Addr().String()), []string{"listen for HTTP", "address already in use"}},
		{"unknown flag", with("--listen-on", "x"), []string{"unknown flag: --listen-on"}},
		{"unknown command", []string{"server"}, []string{`unknown command "server"`}},
		{"unknown configuration key", with("--config", configFile), []string{"sluice.toml:2", `unknown key "listen-on"`}},
		{"address without port", with("--listen", "3307"), []string{`listen must be host:port, not "3307"`}},
		{"unknown mode", with("--mode", "fast"), []string{`mode must be auto, online or native, not "fast"`}},
		{"two mistakes", with("--mode", "fast", "--log-format", "xml"), []string{"mode must be", "log-format must be"}},
		{"check: server unreachable", []string{"check", "--backend", freePort(t)}, []string{"connection refused"}},
		{"status: wrong password", []string{"status", "--backend", server.Addr(), "--password-file", wrongPassword}, []string{"1045"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assertSays(t, refusal(t, tt.args...), tt.says...)
		})
	}
}

func assertSays(t *testing.T, line string, says ...string) {
	t.Helper()
	for _, s := range says {
		if !strings.Contains(line, s) {
			t.Errorf("%q is not in\n%s", s, line)
		}
	}
}

func TestServerSettingsThatDoNotWorkAreNamed(t *testing.T) {
	tests := []struct {
		name    string
		options []string
		says    []string
	}{
		{"no binary log", []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF", "--skip-log-bin"}, []string{"log_bin is OFF", "remove skip-log-bin"}},
		{"statement format", []string{"--binlog-format=STATEMENT"}, []string{"binlog_format is STATEMENT", "SET PERSIST binlog_format = 'ROW'"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := servertest.Start(t, tt.options...)
			prepareAccounts(t, server)
			assertSays(t, refusal(t, "serve", "--listen", "127.0.0.1:0", "--backend", server.Addr(), "--password-file", passwordFile(t), "--state-dir", certificates), tt.says...)
			cmd := program(t, "check", "--backend", server.Addr(), "--password-file", passwordFile(t))
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Error("check ended well")
			}
			assertSays(t, string(out), tt.says...)
		})
	}
}

func TestCheckAndStatusOfAServerThatHasAll(t *testing.T) {
	w := newWorld(t, nil)
	w.bigTable("t", 10_000)
	execute(t, w.client("SET @sluice_mode = 'online'"), "ALTER TABLE t MODIFY k BIGINT NOT NULL")
	for command, says := range map[string][]string{
		"check":  {"has all that Sluice needs"},
		"status": {w.database + ".t", "done", "[####################] 100%", "10000/10000", "ALTER TABLE t MODIFY k BIGINT NOT NULL"},
	} {
		out, err := program(t, command, "--backend", w.server.Addr(), "--password-file", passwordFile(t)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
		assertSays(t, string(out), says...)
	}
}
