// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/lib/pq"
)

const (
	rows      = 5000
	listeners = 3
)

func postgresPlain(t target) (map[string]any, error) { return postgres(t, "sslmode=disable") }

// postgresTLS: the connection becomes TLS only after a few bytes, and the certificate is verified.
func postgresTLS(t target) (map[string]any, error) {
	return postgres(t, "sslmode=verify-full sslrootcert='"+strings.ReplaceAll(t.ca, `\`, `\\`)+"'")
}

// postgres: large answers, rows copied in, a transaction rolled back, a query broken off from a second connection, and
// notifications.
func postgres(t target, mode string) (map[string]any, error) {
	host, port, _ := net.SplitHostPort(t.address)
	where := fmt.Sprintf("host=%s port=%s user=postgres dbname=postgres connect_timeout=30 %s", host, port, mode)
	db, err := sql.Open("postgres", where)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var encrypted bool
	if err := db.QueryRow("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted); err != nil {
		return nil, err
	}
	if encrypted != strings.Contains(mode, "verify-full") {
		return nil, fmt.Errorf("%s, but encrypted: %t", mode, encrypted)
	}
	n, err := largeAnswer(db)
	if err != nil {
		return nil, err
	}
	if err := copyRows(db); err != nil {
		return nil, err
	}
	if err := breakOff(db); err != nil {
		return nil, err
	}
	return map[string]any{"bytes": n, "encrypted": encrypted}, notify(db, where)
}

func largeAnswer(db *sql.DB) (int, error) {
	const count = 50_000
	var got string
	query := "SELECT string_agg(md5(i::text), '' ORDER BY i) FROM generate_series(1, $1::int) i"
	if err := db.QueryRow(query, count).Scan(&got); err != nil {
		return 0, err
	}
	var wanted strings.Builder
	for i := 1; i <= count; i++ {
		sum := md5.Sum([]byte(strconv.Itoa(i)))
		wanted.WriteString(hex.EncodeToString(sum[:]))
	}
	return len(got), same("large answer", []byte(got), []byte(wanted.String()))
}

func copyRows(db *sql.DB) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // the table is not to stay
	if _, err := tx.Exec("CREATE TABLE copied (number int, content bytea)"); err != nil {
		return err
	}
	statement, err := tx.Prepare(pq.CopyIn("copied", "number", "content"))
	if err != nil {
		return err
	}
	for i := 0; i < rows; i++ {
		if _, err := statement.Exec(i, pattern(uint32(i), i%500)); err != nil {
			return err
		}
	}
	if _, err := statement.Exec(); err != nil {
		return err
	}
	if err := statement.Close(); err != nil {
		return err
	}
	found, err := tx.Query("SELECT number, content FROM copied ORDER BY number")
	if err != nil {
		return err
	}
	defer found.Close()
	count := 0
	for ; found.Next(); count++ {
		var number int
		var content []byte
		if err := found.Scan(&number, &content); err != nil {
			return err
		}
		if err := same("row "+strconv.Itoa(count), content, pattern(uint32(count), count%500)); err != nil || number != count {
			return fmt.Errorf("row %d has the number %d: %w", count, number, err)
		}
	}
	if count != rows {
		return fmt.Errorf("%d rows of %d", count, rows)
	}
	return found.Err()
}

// breakOff: the server says that a query took too long, and the connection goes on.
func breakOff(db *sql.DB) error {
	_, err := db.Exec("SET statement_timeout = 50; SELECT pg_sleep(60)")
	var problem *pq.Error
	if !errors.As(err, &problem) || problem.Code.Name() != "query_canceled" {
		return fmt.Errorf("a query that takes too long: %w", err)
	}
	_, err = db.Exec("SET statement_timeout = 0")
	return err
}

func notify(db *sql.DB, where string) error {
	listener := pq.NewListener(where, time.Second, time.Minute, nil)
	defer listener.Close()
	if err := listener.Listen("news"); err != nil {
		return err
	}
	for i := 0; i < listeners; i++ {
		if _, err := db.Exec("SELECT pg_notify('news', $1)", strconv.Itoa(i)); err != nil {
			return err
		}
		select {
		case n := <-listener.Notify:
			if n == nil || n.Extra != strconv.Itoa(i) {
				return fmt.Errorf("notification %d: %v", i, n)
			}
		case <-time.After(time.Minute):
			return errors.New("no notification")
		}
	}
	return nil
}

// redisCommands: large values, and a thousand commands on their way at once.
func redisCommands(t target) (map[string]any, error) {
	c, err := redis.Dial("tcp", t.address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	large := pattern(1, 2_000_000)
	if _, err := c.Do("SET", "large", large); err != nil {
		return nil, err
	}
	got, err := redis.Bytes(c.Do("GET", "large"))
	if err != nil {
		return nil, err
	}
	if err := same("large value", got, large); err != nil {
		return nil, err
	}
	for i := 0; i < 1000; i++ {
		if err := c.Send("ECHO", pattern(uint32(i), i)); err != nil {
			return nil, err
		}
	}
	if err := c.Flush(); err != nil {
		return nil, err
	}
	for i := 0; i < 1000; i++ {
		got, err := redis.Bytes(c.Receive())
		if err != nil {
			return nil, err
		}
		if err := same("echo "+strconv.Itoa(i), got, pattern(uint32(i), i)); err != nil {
			return nil, err
		}
	}
	return map[string]any{"bytes": len(large)}, nil
}

// redisPubSub: what one connection publishes comes by the others.
func redisPubSub(t target) (map[string]any, error) {
	publisher, err := redis.Dial("tcp", t.address)
	if err != nil {
		return nil, err
	}
	defer publisher.Close()
	var subscribers []redis.PubSubConn
	for i := 0; i < listeners; i++ {
		c, err := redis.Dial("tcp", t.address)
		if err != nil {
			return nil, err
		}
		subscriber := redis.PubSubConn{Conn: c}
		defer subscriber.Close()
		if err := subscriber.Subscribe("news"); err != nil {
			return nil, err
		}
		if s, ok := subscriber.Receive().(redis.Subscription); !ok || s.Count != 1 {
			return nil, errors.New("not subscribed")
		}
		subscribers = append(subscribers, subscriber)
	}
	for i := 0; i < 100; i++ {
		if _, err := publisher.Do("PUBLISH", "news", pattern(uint32(i), 100*i)); err != nil {
			return nil, err
		}
		for _, subscriber := range subscribers {
			message, ok := subscriber.Receive().(redis.Message)
			if !ok {
				return nil, errors.New("no message")
			}
			if err := same("message "+strconv.Itoa(i), message.Data, pattern(uint32(i), 100*i)); err != nil {
				return nil, err
			}
		}
	}
	return map[string]any{"messages": 100 * listeners}, nil
}
