package parser_test

import (
	"testing"

	"sluice/parser"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		sql, table string
		want       bool
	}{
		{"SELECT * FROM orders", "orders", true},
		{"SELECT * FROM `Orders`", "orders", true},
		{"select * from shop.ORDERS where 1", "orders", true},
		{"SELECT orders.id FROM(orders)", "orders", true},
		{"SELECT 'orders'", "orders", true},
		{"orders", "orders", true},
		{"SELECT * FROM orders2", "orders", false},
		{"SELECT * FROM my_orders", "orders", false},
		{"SELECT * FROM order", "orders", false},
		{"SELECT * FROM orders_x, ordersorders", "orders", false},
		{"SELECT * FROM orders$", "orders", false},
		{"SELECT * FROM oorders, orders", "orders", true},
		{"", "orders", false},
		{"SELECT 1", "", false},
		{"SELECT * FROM `a``b`", "a`b", true},
		{"SELECT * FROM `a``b`", "a``b", true}, // said too often
		{`SELECT * FROM "a""b"`, `a"b`, true},
		{"SELECT * FROM `a\"\"b`", `a""b`, true},
		{"SELECT * FROM ```a`", "`a", true},
		{"SELECT * FROM `my-table`", "my-table", true},
		{"SELECT * FROM `my-tables`", "my-table", false},
		{"SELECT * FROM größe", "größe", true},
		{"SELECT * FROM GRÖSSE", "größe", false},
		{"SELECT * FROM GRÖßE", "größe", true},
		{"SELECT * FROM gr\xf6\xdfe", "größe", true}, // latin1
		{"SELECT * FROM größen", "größe", false},
	} {
		if got := parser.Names([]byte(c.sql), c.table); got != c.want {
			t.Errorf("%s names %s: %v", c.sql, c.table, got)
		}
	}
}

func TestNamesFindsTheTableOfEveryStatement(t *testing.T) {
	for _, line := range corpus(t) {
		if s := parse(t, line.sql); !parser.Names([]byte(line.sql), s.Table) {
			t.Errorf("%q not found in %s", s.Table, line.sql)
		}
	}
}
