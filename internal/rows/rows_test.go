package rows

import (
	"database/sql"
	"slices"
	"sort"
	"strings"
	"testing"

	"sluice/internal/mysqltest/servertest"
	"sluice/internal/schema"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// pair is a source and a shadow in databases of their own.
type pair struct {
	t       *testing.T
	db      *sql.DB
	conn    *sql.Conn
	places  schema.Places
	mapping *Mapping
}

// newPair makes the source with the columns, and a shadow that alter changed.
func newPair(t *testing.T, columns, alter string, renamed map[string]string) *pair {
	t.Helper()
	server := servertest.Shared(t)
	p := &pair{t: t}
	source, _ := servertest.Database(t, server)
	shadow, _ := servertest.Database(t, server)
	p.places = schema.Places{Source: schema.Table{Schema: source, Name: "t"}, Shadow: schema.Table{Schema: shadow, Name: "t"}, Check: schema.Table{Schema: shadow, Name: "c"}}
	p.db = servertest.Open(t, server, "")
	conn, err := p.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p.conn = conn
	p.exec("SET SESSION transaction_isolation = 'READ-COMMITTED', sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+02:00', cte_max_recursion_depth = 10000")
	p.exec("CREATE TABLE " + p.places.Source.String() + " (" + columns + ") CHARACTER SET utf8mb4")
	p.exec("CREATE TABLE " + p.places.Shadow.String() + " LIKE " + p.places.Source.String())
	if alter != "" {
		p.exec("ALTER TABLE " + p.places.Shadow.String() + " " + alter)
	}
	p.mapping, err = p.plan(renamed)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.mapping.CreateCheck(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) plan(renamed map[string]string) (*Mapping, error) {
	p.t.Helper()
	source, err := schema.Load(p.t.Context(), p.db, p.places.Source)
	if err != nil {
		p.t.Fatal(err)
	}
	shadow, err := schema.Load(p.t.Context(), p.db, p.places.Shadow)
	if err != nil {
		p.t.Fatal(err)
	}
	return NewMapping(p.places, source, shadow, func(c string) (string, bool) {
		if name, ok := renamed[c]; ok {
			return name, name != ""
		}
		return c, true
	})
}

func (p *pair) exec(statement string) {
	p.t.Helper()
	p.on(p.conn, statement)
}

func (p *pair) on(c schema.Queryer, statement string) {
	p.t.Helper()
	statement = strings.NewReplacer("SOURCE", p.places.Source.String(), "SHADOW", p.places.Shadow.String()).Replace(statement)
	if _, err := c.ExecContext(p.t.Context(), statement); err != nil {
		p.t.Fatalf("%.300s: %v", statement, err)
	}
}

// dump lists the rows of a table by what is selected.
func (p *pair) dump(table schema.Table, selected string) []string {
	p.t.Helper()
	rows, err := p.conn.QueryContext(p.t.Context(), "SELECT CONCAT_WS('|', "+selected+") FROM "+table.String())
	if err != nil {
		p.t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			p.t.Fatal(err)
		}
		all = append(all, s)
	}
	sort.Strings(all)
	return all
}

func (p *pair) copyAll(size int) {
	p.t.Helper()
	ctx := p.t.Context()
	var lower Bound
	for {
		upper, last, err := p.mapping.NextBound(ctx, p.conn, lower, size)
		if err != nil {
			p.t.Fatal(err)
		}
		if upper != nil {
			n, err := p.mapping.Copy(ctx, p.conn, p.mapping.Range(lower, upper))
			if err != nil {
				p.t.Fatal(err)
			}
			if n > int64(size) || !last && n != int64(size) {
				p.t.Errorf("a chunk of %d rows has %d", size, n)
			}
		}
		if last {
			return
		}
		lower = upper
	}
}

const numbers = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 200) "

// keyShapes are keys of every kind that the copy goes by.
var keyShapes = []struct{ name, columns, insert string }{
	{"number", "a INT PRIMARY KEY, v INT", "SELECT n * 3 - 300, n FROM s"},
	{"beyond a signed 64 bit number", "a BIGINT UNSIGNED PRIMARY KEY, v INT", "SELECT 18446744073709551615 - n * 7, n FROM s"},
	{"composite", "a SMALLINT, b VARCHAR(30), v INT, PRIMARY KEY (a, b)", "SELECT n % 5 - 2, CONCAT('it''s ', n, ' \\\\ 😀'), n FROM s"},
	{"three parts", "a INT, b INT, c INT, v INT, PRIMARY KEY (c, a, b)", "SELECT n % 4, n % 3, n DIV 12, n FROM s"},
	{"latin1", "a VARCHAR(30) CHARACTER SET latin1 PRIMARY KEY, v INT", "SELECT CONCAT(CHAR(0xe0 + n % 20 USING latin1), n), n FROM s"},
	{"gbk", "a VARCHAR(30) CHARACTER SET gbk PRIMARY KEY, v INT", "SELECT CONCAT(CONVERT(0xd65c USING gbk), n), n FROM s"},
	{"binary with zeros at its end", "a BINARY(6) PRIMARY KEY, v INT", "SELECT UNHEX(CONCAT(HEX(n % 256), '00', HEX(n % 256), '00')), n FROM s WHERE n > 15"},
	{"varbinary", "a VARBINARY(20) PRIMARY KEY, v INT", "SELECT CONCAT(UNHEX('0027005c'), n), n FROM s"},
	{"decimal", "a DECIMAL(30,10) PRIMARY KEY, v INT", "SELECT n / 7 - 10, n FROM s"},
	{"date and time", "a DATE, b TIME(3), v INT, PRIMARY KEY (a, b)", "SELECT '2024-01-01' + INTERVAL n % 9 DAY, SEC_TO_TIME(n * 1000 - 90000) , n FROM s"},
	{"moment", "a DATETIME(6) PRIMARY KEY, v INT", "SELECT '2024-02-28 23:59:59.5' + INTERVAL n * 1234567 MICROSECOND, n FROM s"},
	{"year", "a YEAR, b INT, v INT, PRIMARY KEY (a, b)", "SELECT 1990 + n % 50, n, n FROM s"},
}

func TestChunksHoldEveryRowOnce(t *testing.T) {
	for _, shape := range keyShapes {
		t.Run(shape.name, func(t *testing.T) {
			p := newPair(t, shape.columns, "ADD COLUMN extra INT NOT NULL", nil)
			p.exec("INSERT INTO SOURCE " + numbers + shape.insert)
			p.copyAll(7)
			columns := "v, " + key(p.mapping)
			if got, want := p.dump(p.places.Shadow, columns), p.dump(p.places.Source, columns); len(want) < 150 || !slices.Equal(got, want) {
				t.Errorf("the copy holds %d rows, the original %d, or others", len(got), len(want))
			}
		})
	}
}

func key(m *Mapping) string {
	var columns []string
	for _, c := range m.Key.Columns {
		columns = append(columns, "HEX("+schema.Quote(c.Source)+")")
	}
	return strings.Join(columns, ", ")
}

// keysWhere renders the keys of the rows of the source that satisfy a condition.
func (p *pair) keysWhere(condition string) []string {
	p.t.Helper()
	s := p.mapping.source()
	found, err := digests(p.t.Context(), p.conn, s, "'x'", condition)
	if err != nil {
		p.t.Fatal(err)
	}
	var keys []string
	for k := range found {
		keys = append(keys, k)
	}
	return keys
}

func (p *pair) refresh(c Conn, keys []string, front Front) error {
	if err := p.mapping.Remove(p.t.Context(), c, keys); err != nil {
		return err
	}
	return p.mapping.Restore(p.t.Context(), c, keys, front)
}

func TestChangedRowsAreBroughtUpToDate(t *testing.T) {
	for _, shape := range keyShapes {
		t.Run(shape.name, func(t *testing.T) {
			p := newPair(t, shape.columns, "", nil)
			p.exec("INSERT INTO SOURCE " + numbers + shape.insert)
			p.copyAll(50)
			keys := p.keysWhere("v % 3 = 0")
			p.exec("DELETE FROM SOURCE WHERE v % 6 = 0")
			p.exec("UPDATE SOURCE SET v = v + 1000 WHERE v % 3 = 0")
			if err := p.refresh(p.conn, keys, Front{Done: true}); err != nil {
				t.Fatal(err)
			}
			columns := "v, " + key(p.mapping)
			if got, want := p.dump(p.places.Shadow, columns), p.dump(p.places.Source, columns); !slices.Equal(got, want) {
				t.Errorf("the copy holds\n%.300v\nthe original\n%.300v", got, want)
			}
		})
	}
}

func TestRowsAboveTheFrontAreLeftToTheCopy(t *testing.T) {
	p := newPair(t, "a INT PRIMARY KEY, v INT", "", nil)
	p.exec("INSERT INTO SOURCE VALUES (1, 1), (2, 2), (3, 3)")
	if err := p.refresh(p.conn, []string{"1", "2", "3"}, Front{Bound: Bound{"2"}}); err != nil {
		t.Fatal(err)
	}
	if got := p.dump(p.places.Shadow, "a"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("the shadow holds %v", got)
	}
}

func TestLockedRowIsLeftForLater(t *testing.T) {
	p := newPair(t, "a INT PRIMARY KEY, v INT", "", nil)
	p.exec("INSERT INTO SOURCE VALUES (1, 1), (2, 2), (3, 3)")
	for statement, locked := range map[string]string{
		"UPDATE SOURCE SET v = 9 WHERE a = 1":  "1",
		"UPDATE SOURCE SET v = 9 WHERE a = 3":  "3", // above the front
		"DELETE FROM SOURCE WHERE a = 3":       "3",
		"INSERT INTO SOURCE VALUES (4, 4)":     "4",
		"UPDATE SOURCE SET a = 5 WHERE a = 2":  "5",
		"UPDATE SOURCE SET a = -1 WHERE a = 2": "2",
	} {
		t.Run(statement, func(t *testing.T) {
			client, err := p.db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Rollback()
			p.on(client, statement)
			for _, front := range []Front{{Bound: Bound{"2"}}, {Done: true}} {
				tx, err := p.conn.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
				if err != nil {
					t.Fatal(err)
				}
				// Alone and among others the row may be read in different ways.
				for _, keys := range [][]string{{locked}, {"77", locked, "78"}} {
					if err := p.refresh(tx, keys, front); !IsLocked(err) {
						t.Errorf("front %+v: a row that a transaction is changing was read: %v", front, err)
					}
				}
				tx.Rollback()
			}
		})
	}
}

func TestSumsTellEveryDifference(t *testing.T) {
	const columns = `a INT PRIMARY KEY, s VARCHAR(20), r VARCHAR(20), b VARBINARY(20), n INT, d DECIMAL(10,4), f FLOAT, e DOUBLE,
		j JSON, m DATETIME(3), ts TIMESTAMP(3) NULL, x BIT(9), en ENUM('p','q'), st SET('p','q'), g POINT, l LONGTEXT`
	p := newPair(t, columns, "", nil)
	p.exec(`INSERT INTO SOURCE VALUES (1, 'ab', 'c', 'x', 1, 1.5, 1.1, 1.1, '{"a": 1.0}', '2024-01-01', '2024-01-01', b'1', 'p', 'p,q', POINT(1, 2), 'long'),
		(2, NULL, '', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL)`)
	p.copyAll(10)
	equal := func() bool {
		t.Helper()
		source, shadow, err := p.mapping.Sums(t.Context(), p.conn, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return source == shadow
	}
	if !equal() {
		t.Fatal("equal tables have different sums")
	}
	for _, change := range []string{
		"s = 'a', r = 'bc'", "s = 'aB'", "s = 'ab '", "s = 'N'", "s = NULL", "b = X'7800'", "n = 2", "d = 1.5001", "f = 1.1000001", "e = 1.1000000000000003",
		`j = '{"a": 1.5}'`, "j = NULL", "m = '2024-01-01 00:00:00.001'", "ts = '2024-01-01 00:00:00.001'", "x = b'101'", "en = 'q'", "st = 'p'", "g = POINT(1, 3)", "l = 'lonG'",
	} {
		p.exec("UPDATE SHADOW SET " + change + " WHERE a = 1")
		if equal() {
			t.Errorf("%s makes no difference", change)
		}
		differ, err := p.mapping.Differences(t.Context(), p.conn, nil, nil)
		if err != nil || !slices.Equal(differ, []string{"1"}) {
			t.Errorf("%s: differences in %v, %v", change, differ, err)
		}
		if differ, err := p.mapping.Recheck(t.Context(), p.conn, []string{"1", "2"}); err != nil || !slices.Equal(differ, []string{"1"}) {
			t.Errorf("%s: rechecked, %v differ, %v", change, differ, err)
		}
		if err := p.refresh(p.conn, []string{"1"}, Front{Done: true}); err != nil {
			t.Fatal(err)
		}
	}
	p.exec("UPDATE SHADOW SET s = '' WHERE a = 2")
	if equal() {
		t.Error("NULL and '' have the same sum")
	}
	p.exec("DELETE FROM SHADOW")
	if differ, _ := p.mapping.Differences(t.Context(), p.conn, nil, nil); len(differ) != 2 {
		t.Errorf("of an empty shadow %v differ", differ)
	}
}

func TestConvertedRowsAreNoDifference(t *testing.T) {
	p := newPair(t, "a INT PRIMARY KEY, d DECIMAL(10,2), s VARCHAR(20), e ENUM('x','y'), m DATETIME(3), i INT, l VARCHAR(20) CHARACTER SET latin1, f FLOAT",
		"MODIFY d DECIMAL(12,4), MODIFY s INT, MODIFY e VARCHAR(5), MODIFY m TIMESTAMP NULL, CHANGE i j DECIMAL(9,3), MODIFY l VARCHAR(20) CHARACTER SET utf8mb4, MODIFY f DOUBLE", map[string]string{"i": "j"})
	p.exec("INSERT INTO SOURCE VALUES (1, 1.25, '12abc', 'y', '2024-07-01 12:00:00.500', 7, 'caf\u00e9', 0.1), (2, NULL, '1.5', NULL, NULL, NULL, NULL, NULL)")
	p.copyAll(10)
	differ, err := p.mapping.Differences(t.Context(), p.conn, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(differ) > 0 {
		if differ, err = p.mapping.Recheck(t.Context(), p.conn, differ); err != nil || len(differ) > 0 {
			t.Errorf("rows %v differ, %v", differ, err)
		}
	}
}

func TestTablesThatCannotBeCopiedSayWhy(t *testing.T) {
	tests := []struct{ columns, alter, why string }{
		{"a INT, v INT", "", "no unique key"},
		{"a INT, v INT, UNIQUE (a)", "", "a may be NULL"},
		{"a FLOAT PRIMARY KEY", "", "a is of type float"},
		{"a VARCHAR(20) PRIMARY KEY, v INT", "MODIFY a VARBINARY(20)", "a changes its type"},
		{"a INT PRIMARY KEY, v INT NOT NULL", "DROP PRIMARY KEY, ADD PRIMARY KEY (v)", "is not unique in the new table"},
		{"a TEXT, PRIMARY KEY (a(10))", "", "indexes a prefix"},
		{"a INT, PRIMARY KEY (a DESC)", "", "descending"},
		{"a INT PRIMARY KEY", "ADD p POINT NOT NULL", "has no default"},
		{"a INT PRIMARY KEY", "ADD n INT AUTO_INCREMENT, ADD KEY (n)", "numbers the existing rows"},
	}
	for _, tt := range tests {
		t.Run(tt.columns+" "+tt.alter, func(t *testing.T) {
			p := newPair(t, "a INT PRIMARY KEY", "", nil)
			p.exec("DROP TABLE SOURCE")
			p.exec("DROP TABLE SHADOW")
			p.exec("CREATE TABLE SOURCE (" + tt.columns + ")")
			p.exec("CREATE TABLE SHADOW LIKE SOURCE")
			if tt.alter != "" {
				p.exec("ALTER TABLE SHADOW " + tt.alter)
			}
			if _, err := p.plan(nil); err == nil || !strings.Contains(err.Error(), tt.why) {
				t.Errorf("%v, want %q", err, tt.why)
			}
		})
	}
}
