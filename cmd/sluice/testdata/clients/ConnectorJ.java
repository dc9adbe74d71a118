// What a Java program does with MariaDB Connector/J. Arguments and order of events: see clients_test.go.

import java.sql.*;
import java.util.*;

public class ConnectorJ {
  interface Call { void run() throws SQLException; }

  static String[] args;

  static Connection connect() throws SQLException {
    Properties p = new Properties();
    p.setProperty("user", args[2]);
    p.setProperty("password", args[3]);
    p.setProperty("useSsl", String.valueOf(args[5].equals("tls")));
    p.setProperty("trustServerCertificate", "true");
    p.setProperty("allowPublicKeyRetrieval", "true");
    p.setProperty("allowLocalInfile", "true");
    p.setProperty("allowMultiQueries", "true");
    p.setProperty("useServerPrepStmts", "true");
    return DriverManager.getConnection("jdbc:mariadb://" + args[0] + ":" + args[1] + "/" + args[4], p);
  }

  static void check(boolean holds, String what) {
    if (!holds) {
      System.err.println(what);
      System.exit(1);
    }
  }

  static void refused(int number, Call call) {
    try {
      call.run();
    } catch (SQLException e) {
      check(e.getErrorCode() == number, "error " + e.getErrorCode() + ", want " + number + ": " + e.getMessage());
      return;
    }
    check(false, "no error, want " + number);
  }

  static String value(Statement s, String sql, int column) throws SQLException {
    try (ResultSet r = s.executeQuery(sql)) {
      return r.next() ? r.getString(column) : null;
    }
  }

  static void insert(PreparedStatement s, String body, int n) throws SQLException {
    s.setString(1, body);
    s.setInt(2, n);
    s.executeUpdate();
  }

  public static void main(String[] arguments) throws Exception {
    args = arguments;
    Connection c = connect();
    Statement s = c.createStatement();
    String cipher = value(s, "SHOW SESSION STATUS LIKE 'Ssl_cipher'", 2);
    check(!cipher.isEmpty() == args[5].equals("tls"), "cipher '" + cipher + "'");

    PreparedStatement insert = c.prepareStatement("INSERT INTO notes (body, n) VALUES (?, ?)");
    insert(insert, "prepared 🐬", 1);
    c.setAutoCommit(false);
    s.executeUpdate("INSERT INTO notes (body, n) VALUES ('rolled back', 2)");
    c.rollback();
    insert(insert, "committed", 3);
    c.commit();
    c.setAutoCommit(true);
    insert.close();
    refused(1146, () -> s.executeQuery("SELECT * FROM nosuch"));

    byte[] blob = "0123456789".repeat(2_000_000).getBytes();
    try (PreparedStatement p = c.prepareStatement("INSERT INTO blobs (body) VALUES (?)")) {
      p.setBytes(1, blob);
      p.executeUpdate();
    }
    try (ResultSet r = s.executeQuery("SELECT body FROM blobs")) {
      check(r.next() && Arrays.equals(r.getBytes(1), blob), "the blob came back changed");
    }

    List<Integer> values = new ArrayList<>();
    boolean rows = s.execute("SELECT 1; DO 1; SELECT 2");
    while (rows || s.getUpdateCount() != -1) {
      if (rows) {
        ResultSet r = s.getResultSet();
        r.next();
        values.add(r.getInt(1));
      }
      rows = s.getMoreResults();
    }
    check(values.equals(List.of(1, 2)), "multi-statement: " + values);

    s.execute("LOAD DATA LOCAL INFILE '" + args[6] + "' INTO TABLE numbers");
    long sum = 0;
    try (PreparedStatement p = c.prepareStatement("SELECT n FROM numbers")) {
      p.setFetchSize(100);
      try (ResultSet r = p.executeQuery()) {
        while (r.next()) {
          sum += r.getLong(1);
        }
      }
    }
    check(sum == 500500, "the numbers' sum is " + sum);

    String id = value(s, "SELECT CONNECTION_ID()", 1);
    try (Connection other = connect(); Statement o = other.createStatement()) {
      o.execute("DO GET_LOCK('java', 0)");
      Thread waiting = new Thread(() -> refused(1317, () -> s.executeQuery("SELECT GET_LOCK('java', 60)")));
      waiting.start();
      while (value(o, "SELECT 1 FROM performance_schema.processlist WHERE id = " + id + " AND state = 'User lock'", 1) == null) {}
      o.execute("KILL QUERY " + id);
      waiting.join();
    }

    s.execute("SET @sluice_mode = 'online'");
    int affected = s.executeUpdate("ALTER TABLE notes MODIFY n BIGINT NOT NULL");
    check(affected == 2, affected + " rows affected");
    c.close();

    try (Connection again = connect(); ResultSet r = again.createStatement().executeQuery("SELECT body FROM notes ORDER BY id")) {
      List<String> bodies = new ArrayList<>();
      while (r.next()) {
        bodies.add(r.getString(1));
      }
      check(bodies.equals(List.of("prepared 🐬", "committed")), bodies.toString());
    }
  }
}
