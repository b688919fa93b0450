// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"context"
	"errors"
	"testing"
)

func TestNextConnection(t *testing.T) {
	e := &fakeEngine{connections: make(chan Connection, 3)}
	r := startFake(t, context.Background(), e)
	for id := uint64(1); id <= 3; id++ {
		e.connections <- Connection{ID: id}
	}
	for id := uint64(1); id <= 3; id++ {
		connection, err := r.NextConnection(context.Background())
		if err != nil || connection.ID != id {
			t.Fatalf("%+v, %v, want number %d", connection, err, id)
		}
		if err := r.Decide(id, Refuse); err != nil {
			t.Error(err)
		}
	}
	if len(e.decisions) != 3 || e.decisions[2] != Refuse {
		t.Errorf("decided %v", e.decisions)
	}
	if err := r.Decide(0, Accept); !errors.Is(err, ErrNotFound) {
		t.Errorf("a decision about nothing: %v", err)
	}
	close(e.connections)
	for i := 0; i < 2; i++ {
		if _, err := r.NextConnection(context.Background()); !errors.Is(err, ErrNotRunning) {
			t.Errorf("after the end: %v", err)
		}
	}
}

// A caller that gives up takes no connection away from the next one.
func TestNextConnectionGivesUp(t *testing.T) {
	e := &fakeEngine{connections: make(chan Connection, 1)}
	r := startFake(t, context.Background(), e)
	ctx, cancel := context.WithCancel(context.Background())
	gaveUp := make(chan error)
	go func() {
		_, err := r.NextConnection(ctx)
		gaveUp <- err
	}()
	cancel()
	if err := <-gaveUp; err != context.Canceled {
		t.Errorf("gave up with %v", err)
	}
	if _, err := r.NextConnection(ctx); err != context.Canceled {
		t.Errorf("with a context that is done: %v", err)
	}
	e.connections <- Connection{ID: 7}
	if connection, err := r.NextConnection(context.Background()); err != nil || connection.ID != 7 {
		t.Errorf("%+v, %v", connection, err)
	}
	close(e.connections)
}
