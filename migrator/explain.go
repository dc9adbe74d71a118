package migrator

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"sluice/internal/schema"
	"sluice/internal/wire"
	"sluice/parser"
)

// explain answers EXPLAIN ALTER TABLE: what would be done, why, and how much
// there is to copy. It asks the server, on an empty copy of the table in a
// schema of our own, which is gone when the answer is given; the client's table
// and transaction are not touched. What the ALTER would be refused for, EXPLAIN
// is refused for.
func (m *Migrator) explain(ctx context.Context, r *request) (Reply, error) {
	source, err := schema.Load(ctx, m.server.db, r.table)
	if err != nil {
		return Reply{}, err
	}
	plan, reason, err := m.plan(ctx, r, source)
	if err != nil {
		return Reply{}, err
	}
	copied := source.EstimatedRows
	bytes := source.EstimatedBytes
	if plan == "instant" {
		copied, bytes = 0, 0
	}
	return Reply{Result: wire.Result{
		Columns: []string{"table", "plan", "reason", "rows", "bytes"},
		Rows: [][]*string{{
			ptr(r.table.Schema + "." + r.table.Name), &plan, &reason,
			ptr(strconv.FormatInt(copied, 10)), ptr(strconv.FormatInt(bytes, 10)),
		}},
	}}, nil
}

func ptr(s string) *string { return &s }

// plan decides between instant, online and native, without doing any of it.
func (m *Migrator) plan(ctx context.Context, r *request, source *schema.Definition) (plan, reason string, err error) {
	scratch := fmt.Sprintf("sluice_explain_%d", r.session.ID())
	places := schema.Places{
		Source: r.table,
		Shadow: schema.Table{Schema: scratch, Name: r.table.Name},
		Old:    schema.Table{Schema: scratch + "_old", Name: r.table.Name},
	}
	defer func() { err = errors.Join(err, m.server.dropSchemas(context.WithoutCancel(ctx), places)) }()
	var left *declined
	switch err := m.server.tryInstant(ctx, places, source, r); {
	case err == nil:
		return "instant", "the server changes it with ALGORITHM=INSTANT: metadata only", nil
	case errors.As(err, &left):
		return "native", left.reason, nil
	case !needsWork(err):
		return "", "", err
	default:
		reason = asClientSees(err, places).Error()
	}
	if err := m.server.dropSchemas(ctx, places); err != nil {
		return "", "", err
	}
	b, err := m.server.build(ctx, places, source, r.stmt, r.context)
	switch {
	case errors.As(err, &left):
		return "native", left.reason, nil
	case err != nil:
		return "", "", err
	}
	if r.mode == Online {
		reason = "@sluice_mode is online"
	}
	return "online", fmt.Sprintf("%s; copied by key %s", reason, b.mapping.Key.SourceIndex), nil
}

// tryInstant gives an empty copy of the table the statement with
// ALGORITHM=INSTANT.
func (s *server) tryInstant(ctx context.Context, p schema.Places, source *schema.Definition, r *request) error {
	for _, c := range r.stmt.Clauses {
		if c.Kind == parser.Algorithm || c.Kind == parser.Lock {
			return decline("the statement names its own %s", c.Text)
		}
	}
	if err := s.createSchemas(ctx, p); err != nil {
		return err
	}
	conn, err := s.session(ctx, append(neutral, "USE "+schema.Quote(p.Shadow.Schema))...)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "CREATE TABLE "+p.Shadow.String()+" "+source.Body()); err != nil {
		return fmt.Errorf("make an empty copy of the table: %w", err)
	}
	if err := r.context.Apply(ctx, conn); err != nil {
		return err
	}
	rewrite := parser.Rewrite{Schema: p.Shadow.Schema, Table: p.Shadow.Name, Algorithm: "INSTANT"}
	if r.mode == Online {
		rewrite.Algorithm = "INPLACE" // to hear of errors; its success is not wanted
	}
	if _, err := conn.ExecContext(ctx, r.stmt.Rewrite(rewrite)); err != nil {
		return asClientSees(err, p)
	}
	return nil
}
