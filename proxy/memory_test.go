package proxy

import "testing"

func TestLocksThatTheStatusDoesNotShow(t *testing.T) {
	for _, test := range []struct {
		statements []string
		want       locks
	}{
		{[]string{"SELECT 1", "INSERT INTO locks VALUES ('lock tables')"}, 0},
		{[]string{"LOCK TABLES t WRITE"}, lockTables},
		{[]string{" /* mine */ lock\ttables t WRITE", "SELECT 1"}, lockTables},
		{[]string{"LOCK TABLES t WRITE", "UNLOCK TABLES"}, 0},
		{[]string{"/*!40000 LOCK TABLES t WRITE */"}, lockTables},
		{[]string{"FLUSH PRIVILEGES", "FLUSH TABLES"}, 0},
		{[]string{"FLUSH TABLES  WITH\nREAD LOCK"}, lockTables},
		{[]string{"FLUSH TABLES t FOR EXPORT"}, lockTables},
		{[]string{"HANDLER t OPEN", "UNLOCK TABLES"}, lockHandler},
		{[]string{"XA START 'x'", "XA END 'x'", "XA PREPARE 'x'"}, lockXA},
		{[]string{"XA START 'x'", "XA END 'x'", "XA COMMIT 'x' ONE PHASE"}, 0},
		{[]string{"", "/* cut short", "#", "x", "lock"}, lockTables},
	} {
		var m memory
		for _, s := range test.statements {
			m.query([]byte(s))
		}
		if m.locks != test.want {
			t.Errorf("%q: %b, want %b", test.statements, m.locks, test.want)
		}
	}
}

func TestStatementsThatOnlyOpenATransaction(t *testing.T) {
	for text, want := range map[string]bool{
		"BEGIN":                        true,
		"begin work;":                  true,
		" -- now\n start transaction ": true,
		"START TRANSACTION READ ONLY":  true,
		"START TRANSACTION WITH CONSISTENT SNAPSHOT": false,
		"BEGIN; SELECT 1": false,
		"SELECT 1":        false,
		"SET x = 1":       false,
		"":                false,
	} {
		var m memory
		if m.query([]byte(text)); m.begin != want {
			t.Errorf("%q: %v, want %v", text, m.begin, want)
		}
	}
}
