package binlog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// Config says how to reach the server. The account needs REPLICATION SLAVE.
type Config struct {
	Host     string
	Port     uint16
	User     string
	Password string
	TLS      *tls.Config // nil: no TLS
	Logger   *slog.Logger

	// Current asks the server for the present end of its log.
	Current func(context.Context) (Position, error)
}

// A Reader reads the log while somebody is subscribed, and sleeps otherwise.
type Reader struct {
	cfg Config

	mu      sync.Mutex
	feeds   map[*Feed]bool
	pos     Position           // end of the last transaction read; zero while asleep
	changed chan struct{}      // closed and renewed whenever pos, feeds or an error changes
	stop    context.CancelFunc // ends the present stream; nil while there is none
	streams int                // counts streams: one that was told to stop must not move pos any more
}

// New returns a reader; Run makes it read.
func New(cfg Config) *Reader {
	return &Reader{cfg: cfg, feeds: map[*Feed]bool{}, changed: make(chan struct{})}
}

// Subscription describes what a migration wants to hear of.
type Subscription struct {
	Schema, Table string // as the server writes them in its log
	Columns       int    // the number of columns of the table
	Key           KeyFunc
	// Statement is told of every statement in the log, DDL for example, that
	// is not a change of rows. An error ends the feed.
	Statement func(defaultSchema, query string) error
	// From is where to begin; the zero Position means now.
	From Position
}

// Subscribe opens a feed. Every change that is committed after Subscribe was
// called comes to it; changes before that may come too.
func (r *Reader) Subscribe(ctx context.Context, s Subscription) (*Feed, error) {
	from := s.From
	if from.IsZero() {
		var err error
		if from, err = r.cfg.Current(ctx); err != nil {
			return nil, fmt.Errorf("ask for the end of the binary log: %w", err)
		}
	}
	f := &Feed{
		schema: s.Schema, table: s.Table, columns: s.Columns, key: s.Key, statement: s.Statement,
		reader: r, keys: map[string]Position{},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feeds[f] = true
	switch {
	case r.pos.IsZero():
		r.pos = from
	case !s.From.IsZero() && from.Compare(r.pos) < 0:
		// Go back: the other feeds hear some changes twice, which does them
		// no harm, since a key only says "look at this row again".
		r.pos = from
		r.stopLocked()
	}
	r.signalLocked()
	return f, nil
}

func (r *Reader) unsubscribe(f *Feed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.feeds, f)
	if len(r.feeds) == 0 {
		r.pos = Position{}
		r.stopLocked()
	}
	r.signalLocked()
}

// stopLocked ends the present stream; Run starts the next one at pos.
func (r *Reader) stopLocked() {
	r.streams++
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// Position is the end of the last transaction that was read.
func (r *Reader) Position() Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pos
}

// Changed returns a channel that is closed as soon as something has been read
// or a feed has failed.
func (r *Reader) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

func (r *Reader) signal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signalLocked()
}

func (r *Reader) signalLocked() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// reconnectPause is how long the reader waits before it connects again after
// the connection was lost, growing up to a hundred times that.
const reconnectPause = 50 * time.Millisecond

// Run reads the log until ctx ends. A lost connection is made again at the end
// of the last transaction read; what cannot be mended by that, a purged log for
// example, fails the feeds.
func (r *Reader) Run(ctx context.Context) error {
	pause := reconnectPause
	for {
		before := r.Position()
		err := r.stream(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			pause = reconnectPause
		case isPermanent(err):
			r.failAll(err)
		default:
			if r.Position() != before {
				pause = reconnectPause
			}
			r.cfg.Logger.Warn("binary log: connection lost, connecting again", "error", err, "position", before.String(), "pause", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil
			}
			pause = min(2*pause, 100*reconnectPause)
		}
	}
}

func (r *Reader) failAll(err error) {
	r.mu.Lock()
	feeds := r.feeds
	r.feeds = map[*Feed]bool{}
	r.pos = Position{}
	r.stop = nil
	r.mu.Unlock()
	for f := range feeds {
		f.fail(fmt.Errorf("follow the binary log: %w", err))
	}
}

// isPermanent tells whether connecting again cannot help: the server no longer
// has the log (1236), or the account may not read it (1045, 1227).
func isPermanent(err error) bool {
	var refused *mysql.MyError
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG, mysql.ER_ACCESS_DENIED_ERROR, mysql.ER_SPECIFIC_ACCESS_DENIED_ERROR:
		return true
	}
	return false
}

// stream waits for a subscriber and reads from the present position until the
// last one has gone, the position was set back, or the connection broke.
func (r *Reader) stream(parent context.Context) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	s, err := r.awaitSubscriber(parent, cancel)
	if err != nil {
		return nil
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID:                  1<<31 + rand.Uint32N(1<<31-1), // out of the range that people number their servers in
		Flavor:                    mysql.MySQLFlavor,
		Host:                      r.cfg.Host,
		Port:                      r.cfg.Port,
		User:                      r.cfg.User,
		Password:                  r.cfg.Password,
		TLSConfig:                 r.cfg.TLS,
		TimestampStringLocation:   time.UTC,
		HeartbeatPeriod:           5 * time.Second,
		ReadTimeout:               15 * time.Second,
		DisableRetrySync:          true, // it may take a stream up inside a transaction; ours never does
		EventCacheCount:           128,
		PayloadDecoderConcurrency: 1,
		Logger:                    slog.New(slog.DiscardHandler),
		RowsEventDecodeFunc:       r.decodeRows,
	})
	defer syncer.Close()
	events, err := syncer.StartSync(mysql.Position{Name: s.pos.File, Pos: uint32(s.pos.Offset)})
	if err != nil {
		return fmt.Errorf("start reading at %s: %w", s.pos, err)
	}
	for {
		event, err := events.GetEvent(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.handle(ctx, event); err != nil {
			return err
		}
	}
}

// awaitSubscriber returns a stream that begins at the present position as soon
// as somebody is subscribed; stop is what ends it.
func (r *Reader) awaitSubscriber(ctx context.Context, stop context.CancelFunc) (*stream, error) {
	for {
		r.mu.Lock()
		if len(r.feeds) > 0 {
			r.stop = stop
			s := &stream{reader: r, pos: r.pos, number: r.streams}
			r.mu.Unlock()
			return s, nil
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// decodeRows decodes the rows of the tables that somebody follows; the rest of
// the server's writes are not looked into.
func (r *Reader) decodeRows(e *replication.RowsEvent, data []byte) error {
	pos, err := e.DecodeHeader(data)
	if err != nil || len(r.feedsOf(string(e.Table.Schema), string(e.Table.Table))) == 0 {
		return err
	}
	return e.DecodeData(pos, data)
}

func (r *Reader) feedsOf(schema, table string) []*Feed {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*Feed
	for f := range r.feeds {
		if f.schema == schema && f.table == table {
			found = append(found, f)
		}
	}
	return found
}

func (r *Reader) allFeeds() []*Feed {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Feed, 0, len(r.feeds))
	for f := range r.feeds {
		all = append(all, f)
	}
	return all
}

// stream is the state of one connection's reading.
type stream struct {
	reader *Reader
	number int // of Reader.streams
	file   string
	pos    Position // end of the last transaction
}

func (s *stream) handle(ctx context.Context, event *replication.BinlogEvent) error {
	switch e := event.Event.(type) {
	case *replication.RotateEvent:
		s.file = string(e.NextLogName)
		if event.Header.LogPos != 0 { // the real one, at the end of a file; not the one that opens a stream
			s.boundary(Position{s.file, e.Position})
		}
	case *replication.PreviousGTIDsEvent:
		// At the head of a file, in every gtid_mode: where an idle server's log ends.
		s.boundary(Position{s.file, uint64(event.Header.LogPos)})
	case *replication.RowsEvent:
		s.rows(ctx, event.Header.EventType, e)
	case *replication.XIDEvent:
		s.boundary(Position{s.file, uint64(event.Header.LogPos)})
	case *replication.QueryEvent:
		s.query(e, event.Header.LogPos)
	case *replication.TransactionPayloadEvent:
		for _, inner := range e.Events {
			switch i := inner.Event.(type) {
			case *replication.RowsEvent:
				s.rows(ctx, inner.Header.EventType, i)
			case *replication.QueryEvent:
				s.statement(i)
			}
		}
		s.boundary(Position{s.file, uint64(event.Header.LogPos)})
	}
	return nil
}

func (s *stream) query(e *replication.QueryEvent, end uint32) {
	if strings.EqualFold(string(e.Query), "BEGIN") {
		return
	}
	s.statement(e)
	if s.ends(e) {
		s.boundary(Position{s.file, uint64(end)})
	}
}

// ends reports whether a logged statement is a transaction of its own, as DDL
// is, or ends one. Statements within one (SAVEPOINT, statement-based changes)
// do not.
func (s *stream) ends(e *replication.QueryEvent) bool {
	switch word, _, _ := strings.Cut(strings.ToUpper(string(e.Query)), " "); word {
	case "SAVEPOINT", "ROLLBACK", "INSERT", "UPDATE", "DELETE", "REPLACE", "XA", "LOAD", "WITH", "CALL":
		return strings.EqualFold(string(e.Query), "ROLLBACK")
	}
	return true
}

func (s *stream) statement(e *replication.QueryEvent) {
	query := string(e.Query)
	switch word := strings.ToUpper(query); word {
	case "BEGIN", "COMMIT", "ROLLBACK":
		return
	}
	for _, f := range s.reader.allFeeds() {
		if f.statement == nil {
			continue
		}
		if err := f.statement(string(e.Schema), query); err != nil {
			f.fail(err)
		}
	}
}

func (s *stream) rows(ctx context.Context, kind replication.EventType, e *replication.RowsEvent) {
	for _, f := range s.reader.feedsOf(string(e.Table.Schema), string(e.Table.Table)) {
		if kind == replication.PARTIAL_UPDATE_ROWS_EVENT {
			f.fail(errPartialJSON)
			continue
		}
		updates := e.Type() == replication.EnumRowsEventTypeUpdate
		if err := f.add(ctx, e.Rows, e.SkippedColumns, updates, s.pos); err != nil && ctx.Err() == nil {
			f.fail(err)
		}
	}
}

// errPartialJSON ends a feed: go-mysql decodes only the first change of such
// an image and may take what follows it for something else.
var errPartialJSON = errors.New("a session logs partial JSON updates (binlog_row_value_options = PARTIAL_JSON), which cannot be followed; set it to '' and send the ALTER again")

// boundary records the end of a transaction and wakes those who wait for it.
func (s *stream) boundary(p Position) {
	s.pos = p
	r := s.reader
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams != s.number || p.Compare(r.pos) <= 0 {
		return
	}
	r.pos = p
	r.signalLocked()
}
