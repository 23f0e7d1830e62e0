// Transit measures what Vault's transit engine, from which OpenBao's comes, takes to verify a batch of
// 1,000 signatures by one key: CPU time of one item, in this process. The engine alone, and with the
// JSON that a server reads and writes; without HTTP, TLS, tokens, policies, audit and storage on disk,
// so a server takes more. Messages have 256 bytes, and are hashed by the engine. Vault is under the
// Business Source License: it is built here to compare with, and nothing of ours depends on it.
//
//	make bench-transit
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/logical"
)

const (
	items        = 1000
	messageBytes = 256
	// The best of so many rounds counts, because other processes only make one slower.
	rounds = 30
)

// Kinds of key, with the hash of the messages; RSA pads by PKCS#1 v1.5.
var kinds = []struct{ key, hash string }{
	{"ed25519", ""},
	{"ecdsa-p256", "sha2-256"},
	{"ecdsa-p384", "sha2-384"},
	{"rsa-2048", "sha2-256"},
}

type engine struct {
	backend logical.Backend
	storage logical.Storage
}

func newEngine() *engine {
	storage := &logical.InmemStorage{}
	backend, err := transit.Factory(context.Background(), &logical.BackendConfig{
		Logger:      hclog.NewNullLogger(),
		System:      &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: time.Hour},
		StorageView: storage,
	})
	check(err)
	return &engine{backend, storage}
}

// Do has the engine answer a request that has these data.
func (e *engine) do(path string, data map[string]any) map[string]any {
	response, err := e.backend.HandleRequest(context.Background(), &logical.Request{
		Operation: logical.UpdateOperation, Path: path, Storage: e.storage, Data: data,
	})
	check(err)
	if response == nil {
		return nil
	}
	if response.IsError() {
		log.Fatal(response.Error())
	}
	return response.Data
}

// Signed makes a key, and the request to verify a batch by it.
func (e *engine) signed(key, hash string) []byte {
	e.do("keys/"+key, map[string]any{"type": key})
	batch := make([]any, items)
	for i := range batch {
		message := make([]byte, messageBytes)
		_, err := rand.Read(message)
		check(err)
		batch[i] = map[string]any{"input": base64.StdEncoding.EncodeToString(message)}
	}
	request := map[string]any{"batch_input": batch, "signature_algorithm": "pkcs1v15"}
	if hash != "" {
		request["hash_algorithm"] = hash
	}
	var answer struct {
		Results []struct{ Signature string } `json:"batch_results"`
	}
	check(json.Unmarshal(encoded(e.do("sign/"+key, request)), &answer))
	for i, result := range answer.Results {
		batch[i].(map[string]any)["signature"] = result.Signature
	}
	return encoded(request)
}

func main() {
	engine := newEngine()
	for _, kind := range kinds {
		request := engine.signed(kind.key, kind.hash)
		alone, all := time.Hour, time.Hour
		for range rounds {
			var data map[string]any
			began := cpuTime()
			check(json.Unmarshal(request, &data))
			decoded := cpuTime()
			results := engine.do("verify/"+kind.key, data)
			verified := cpuTime()
			answer := encoded(results)
			ended := cpuTime()
			checkValid(answer)
			alone, all = min(alone, verified-decoded), min(all, ended-began)
		}
		fmt.Printf("%-10s  %5.1f µs an item, with JSON %5.1f µs\n", kind.key, each(alone), each(all))
	}
}

// CheckValid fails if a good signature was refused.
func checkValid(answer []byte) {
	var found struct {
		Results []struct{ Valid bool } `json:"batch_results"`
	}
	check(json.Unmarshal(answer, &found))
	valid := 0
	for _, result := range found.Results {
		if result.Valid {
			valid++
		}
	}
	if valid != items {
		log.Fatalf("%d of %d signatures are valid", valid, items)
	}
}

// CpuTime returns the time of this process, user and system, garbage collection included.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func each(batch time.Duration) float64 {
	return float64(batch.Nanoseconds()) / items / 1e3
}

func encoded(value any) []byte {
	data, err := json.Marshal(value)
	check(err)
	return data
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
