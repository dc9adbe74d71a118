package migrator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/mysqlerr"
	"sluice/internal/schema"
	"sluice/internal/wire"
	"sluice/parser"
)

// Session is a client's own session on the server, lent for one statement.
type Session interface {
	ID() uint32     // connection id
	Status() uint16 // server status flags of the last answer
	UnderLocks() bool
	// Query runs a statement there. The server's error is a *mysql.MySQLError.
	Query(ctx context.Context, sql string) (wire.Result, error)
}

// Reply is what the client is to be told.
type Reply struct {
	Native bool // send the statement to the server as it is
	Result wire.Result
}

var native = Reply{Native: true}

// request is a client's statement, understood.
type request struct {
	session Session
	stmt    parser.Statement
	context schema.Session
	mode    Mode
	table   schema.Table
}

// Alter carries out a statement that the client sent on session s. It returns
// when the change is complete, or with the error that the client is to get.
func (m *Migrator) Alter(ctx context.Context, s Session, sql string) (Reply, error) {
	noBackslash := s.Status()&gomysql.SERVER_STATUS_NO_BACKSLASH_ESCAPED != 0
	stmt, err := parser.Parse(sql, parser.Mode{NoBackslashEscapes: noBackslash})
	if errors.Is(err, parser.ErrNotOurs) {
		return native, nil
	}
	r := &request{session: s, stmt: stmt}
	if err := r.readContext(ctx); errors.Is(err, errUnlikeAsked) {
		m.cfg.Logger.Warn("statement: left to the server", "connection", s.ID(), "reason", err.Error())
		return native, nil
	} else if err != nil {
		return Reply{}, err
	}
	// Only now the quotes are known.
	if r.stmt, err = parser.Parse(sql, modeOf(r.context, noBackslash)); err != nil {
		m.cfg.Logger.Warn("statement: left to the server, it cannot be read", "connection", s.ID(), "error", err)
		return native, nil
	}
	if r.mode == "" {
		r.mode = m.cfg.Mode
	}
	if why := r.leftAlone(); why != "" {
		m.cfg.Logger.Info("statement: left to the server", "connection", s.ID(), "reason", why)
		return native, nil
	}
	if ok, err := m.locate(ctx, r); err != nil || !ok {
		return native, err
	}
	if r.stmt.Explain {
		return m.explain(ctx, r)
	}
	return m.carryOut(ctx, r)
}

// modeOf is how the server reads text in a session.
func modeOf(s schema.Session, noBackslash bool) parser.Mode {
	return parser.Mode{
		AnsiQuotes:         s.HasMode("ANSI_QUOTES"),
		NoBackslashEscapes: noBackslash || s.HasMode("NO_BACKSLASH_ESCAPES"),
		Version:            s.Version(),
		Charset:            s.Variables["character_set_client"],
	}
}

// ownHints keep the client's settings from cutting our own SELECTs short: a
// sleep that max_execution_time ends looks like one that KILL QUERY ended.
const ownHints = "/*+ MAX_EXECUTION_TIME(86400000) SET_VAR(sql_select_limit = 1000) */"

// errUnlikeAsked says that the session's settings garble even short answers (a
// character_set_results of two bytes to the character, for example).
var errUnlikeAsked = errors.New("the session's answer is not what was asked for")

// readContext asks the client's session for what its statement depends on.
func (r *request) readContext(ctx context.Context) error {
	result, err := r.session.Query(ctx, "SELECT "+ownHints+" HEX(CONVERT(DATABASE() USING utf8mb4)), @sluice_mode")
	if err != nil {
		return err
	}
	if len(result.Rows) != 1 || len(result.Rows[0]) != 2 {
		return errUnlikeAsked
	}
	if name := result.Rows[0][0]; name != nil {
		decoded, err := hex.DecodeString(*name)
		if err != nil {
			return errUnlikeAsked
		}
		r.context.Database = string(decoded)
	}
	if mode := result.Rows[0][1]; mode != nil {
		r.mode = Mode(strings.ToLower(*mode))
	}
	result, err = r.session.Query(ctx, schema.ShowVariables())
	if err != nil {
		return err
	}
	r.context.Variables = map[string]string{}
	for _, row := range result.Rows {
		if len(row) == 2 && row[0] != nil && row[1] != nil {
			r.context.Variables[*row[0]] = *row[1]
		}
	}
	if r.context.Variables["version"] == "" {
		return errUnlikeAsked
	}
	return nil
}

// leftAlone tells why a statement goes to the server without a look at its
// table.
func (r *request) leftAlone() string {
	switch r.mode {
	case Auto, Online:
	case Native:
		return "mode is native"
	default:
		return fmt.Sprintf("@sluice_mode is %q, which is not auto, online or native", string(r.mode))
	}
	r.table = schema.Table{Schema: r.stmt.Schema, Name: r.stmt.Table}
	if r.table.Schema == "" {
		r.table.Schema = r.context.Database
	}
	switch {
	case r.table.Schema == "":
		return "no database selected"
	case r.table.Schema == schema.State || strings.HasPrefix(r.table.Schema, "sluice_"):
		return "the table is one of Sluice's own"
	case r.session.UnderLocks():
		return "the session may hold LOCK TABLES"
	}
	return ""
}

// locate finds the table as the server stores its name; ok is false where the
// name does not mean a base table to this session: then the server knows best.
func (m *Migrator) locate(ctx context.Context, r *request) (ok bool, err error) {
	// A temporary table hides the base table of its name, and only its session
	// can see it.
	result, err := r.session.Query(ctx, "SHOW CREATE TABLE "+r.table.String())
	if mysqlerr.Number(err) != 0 {
		// No such table, no privilege: the ALTER's own answer says it better.
		m.cfg.Logger.Info("statement: left to the server, its session cannot see the table", "connection", r.session.ID(), "table", r.table.String(), "error", err)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if len(result.Rows) != 1 || len(result.Rows[0]) != 2 || result.Rows[0][1] == nil || !strings.HasPrefix(*result.Rows[0][1], "CREATE TABLE ") {
		return false, nil
	}
	err = m.server.db.QueryRowContext(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
		r.table.Schema, r.table.Name).Scan(&r.table.Schema, &r.table.Name)
	if err != nil {
		m.cfg.Logger.Warn("statement: left to the server, Sluice's account cannot see the table", "table", r.table.String(), "error", err)
		return false, nil
	}
	return true, nil
}

// carryOut is the life of one ALTER, seen from its client.
func (m *Migrator) carryOut(ctx context.Context, r *request) (Reply, error) {
	for {
		if other := m.on(r.table); other != nil {
			reply, again, err := m.behind(ctx, r, other)
			if !again {
				return reply, err
			}
			continue
		}
		if reply, done, err := r.attemptInstant(ctx); done {
			return reply, err
		}
		x, started, err := m.submit(ctx, &record{Table: r.table, Statement: r.stmt.Text(), Session: r.context, Phase: Queued, Connection: r.session.ID()}, r.stmt)
		if err != nil {
			return Reply{}, fmt.Errorf("cannot record the migration: %w", err)
		}
		if started {
			return m.await(ctx, r, x)
		}
	}
}

// behind is for a client whose table has a migration already: the same
// statement joins it; another one waits for its end and then has its turn.
func (m *Migrator) behind(ctx context.Context, r *request, other *Migration) (reply Reply, again bool, err error) {
	if err := r.provePrivileges(ctx); err != nil {
		return Reply{}, false, err
	}
	if other.record.Statement == r.stmt.Text() && other.record.Session.Database == r.context.Database {
		m.mu.Lock()
		other.waiting++
		m.mu.Unlock()
		reply, err := m.await(ctx, r, other)
		return reply, false, err
	}
	if err := r.watch(ctx, other, "waiting behind "); err != nil {
		return Reply{}, false, err
	}
	return Reply{}, true, nil
}

// attemptInstant tries the statement with ALGORITHM=INSTANT on the client's own
// session. The server thereby checks the account's privileges and the
// statement's meaning. done is false where it says that more work is needed.
func (r *request) attemptInstant(ctx context.Context) (reply Reply, done bool, err error) {
	for _, c := range r.stmt.Clauses {
		if c.Kind == parser.Algorithm || c.Kind == parser.Lock {
			return native, true, nil // the client has said how it wants it done
		}
	}
	if r.mode == Online && r.stmt.Kind == parser.AlterTable {
		err := r.provePrivileges(ctx)
		return Reply{}, err != nil, err
	}
	result, err := r.session.Query(ctx, r.stmt.Rewrite(parser.Rewrite{Algorithm: "INSTANT"}))
	switch {
	case err == nil:
		return Reply{Result: result}, true, nil
	case needsWork(err):
		return Reply{}, false, nil
	case mysqlerr.Is(err, mysqlerr.Syntax):
		return native, true, nil // the text of a syntax error quotes the statement
	}
	return Reply{}, true, err
}

// provePrivileges has the server check that the account may alter the table,
// with a statement that never succeeds: an INSTANT rebuild.
func (r *request) provePrivileges(ctx context.Context) error {
	probe := "ALTER TABLE " + r.table.String() + " FORCE, ALGORITHM=INSTANT"
	if r.stmt.Kind != parser.AlterTable {
		probe = r.stmt.Rewrite(parser.Rewrite{Algorithm: "INSTANT"})
	}
	_, err := r.session.Query(ctx, probe)
	if err == nil {
		return errors.New("the server rebuilt a table in an instant, which it cannot; please report this")
	}
	if needsWork(err) {
		return nil
	}
	return err
}

// await keeps the client's session alive until the migration is over and turns
// its end into the client's answer.
func (m *Migrator) await(ctx context.Context, r *request, x *Migration) (Reply, error) {
	err := r.watch(ctx, x, "")
	m.mu.Lock()
	x.waiting--
	last := x.waiting == 0
	m.mu.Unlock()
	if err == errInterruptedByClient {
		if last {
			x.cancel(ErrCancelled)
			<-x.Done()
			if _, err := x.Result(); err == nil {
				return m.answer(r, x) // it was too late: the table is altered
			}
		}
		return Reply{}, interrupted
	}
	if err != nil {
		return Reply{}, err
	}
	return m.answer(r, x)
}

func (m *Migrator) answer(r *request, x *Migration) (Reply, error) {
	outcome, err := x.Result()
	switch {
	case errors.Is(err, ErrCancelled):
		return Reply{}, interrupted
	case err != nil:
		return Reply{}, err
	case outcome.Declined != "":
		return native, nil
	}
	return Reply{Result: wire.Result{
		AffectedRows: outcome.Rows,
		Warnings:     outcome.Warnings,
		Info:         fmt.Sprintf("Records: %d  Duplicates: 0  Warnings: %d", outcome.Rows, outcome.Warnings),
	}}, nil
}

// errInterruptedByClient says that KILL QUERY hit the waiting session.
var errInterruptedByClient = errors.New("migrator: interrupted by KILL QUERY")

// The client's session sleeps on the server in naps: short ones at first, so
// that the answer does not come late, then up to a second.
const (
	shortestNap = 10 * time.Millisecond
	longestNap  = time.Second
)

// watch waits for the migration while the client's own session shows what is
// going on: SHOW PROCESSLIST lists it with the ALTER and its progress, the
// server's wait_timeout does not strike, and KILL QUERY finds it. A nap that
// was killed returns 1 instead of 0.
func (r *request) watch(ctx context.Context, x *Migration, prefix string) error {
	began := time.Now()
	for {
		select {
		case <-x.Done():
			return nil
		default:
		}
		nap := min(max(time.Since(began)/20, shortestNap), longestNap)
		sql := fmt.Sprintf("/* %s -- sluice %d: %s%s */ SELECT %s SLEEP(%.3f)", commentSafe(r.stmt.Text()), x.ID(), prefix, commentSafe(x.Progress().String()), ownHints, nap.Seconds())
		result, err := r.session.Query(ctx, sql)
		if mysqlerr.Is(err, mysqlerr.QueryInterrupted) {
			return errInterruptedByClient
		}
		if err != nil {
			return err
		}
		if len(result.Rows) == 1 && result.Rows[0][0] != nil && *result.Rows[0][0] == "1" {
			return errInterruptedByClient
		}
	}
}

// commentSafe makes text that cannot end the comment it stands in, nor begin
// one: a blank parts every * and / that touch. What is not plain ASCII becomes a
// question mark, since the session may speak any character set.
func commentSafe(text string) string {
	var safe strings.Builder
	var last rune
	for _, c := range text {
		switch {
		case c == '\n' || c == '\r' || c == '\t':
			c = ' '
		case c > 126 || c < 32:
			c = '?'
		}
		if last == '*' && c == '/' || last == '/' && c == '*' {
			safe.WriteByte(' ')
		}
		safe.WriteRune(c)
		last = c
	}
	return safe.String()[:min(safe.Len(), 500)]
}
