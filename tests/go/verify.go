// Verify checks a sovereign audit log with none of its code: Go's own checksum-database packages
// recompute every record, tile and proof from what was published.
//
//	verify log FOLDER VKEY [OLD_CHECKPOINT]    tiles and records, and that they continue OLD
//	verify proof FILE VKEY                     one record (c2sp.org/tlog-proof)
//	verify consistency FILE OLD VKEY           one checkpoint follows another
//
// Build without a network, from Debian's golang-go and golang-golang-x-mod-dev:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o verify verify.go
//
// Exit status 0: it is what was signed. 1: it is not, and the error says what is wrong.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// height of tiles, in levels of the tree: 256 hashes (c2sp.org/tlog-tiles).
const height = 8

func main() {
	err := errors.New("usage: verify log FOLDER VKEY [OLD] | proof FILE VKEY | consistency FILE OLD VKEY")
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "log":
		err = checkLog(args[1], args[2], "")
	case len(args) == 4 && args[0] == "log":
		err = checkLog(args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "proof":
		err = checkProof(args[1], args[2])
	case len(args) == 4 && args[0] == "consistency":
		err = checkConsistency(args[1], args[2], args[3])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// openCheckpoint returns the tree that a signed note commits to (c2sp.org/tlog-checkpoint).
func openCheckpoint(data []byte, vkey string) (tlog.Tree, error) {
	var tree tlog.Tree
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tree, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != verifier.Name() {
		return tree, errors.New("checkpoint: not one of this log")
	}
	tree.N, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || tree.N < 0 || strconv.FormatInt(tree.N, 10) != lines[1] {
		return tree, errors.New("checkpoint: the size is not a number")
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

func readCheckpoint(file, vkey string) (tlog.Tree, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return tlog.Tree{}, err
	}
	return openCheckpoint(data, vkey)
}

// hashes is storage for tlog's stored hashes, in memory.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index < 0 || index >= int64(len(h)) {
			return nil, fmt.Errorf("no hash %d", index)
		}
		found[i] = h[index]
	}
	return found, nil
}

func checkLog(folder, vkey, old string) error {
	tree, err := readCheckpoint(filepath.Join(folder, "checkpoint"), vkey)
	if err != nil {
		return err
	}
	var stored hashes
	for n := int64(0); n < tree.N; n += 1 << height {
		entries, err := readBundle(folder, n>>height, tree.N)
		if err != nil {
			return err
		}
		for i, entry := range entries {
			more, err := tlog.StoredHashes(n+int64(i), entry, stored)
			if err != nil {
				return err
			}
			stored = append(stored, more...)
		}
	}
	if tree.N > 0 {
		root, err := tlog.TreeHash(tree.N, stored)
		if err != nil {
			return err
		}
		if root != tree.Hash {
			return errors.New("the records are not what was signed")
		}
	}
	if err := checkTiles(folder, tree.N, stored); err != nil {
		return err
	}
	if old != "" {
		before, err := readCheckpoint(old, vkey)
		if err != nil {
			return err
		}
		if before.N > tree.N {
			return fmt.Errorf("%d records were signed, %d are here", before.N, tree.N)
		}
		if before.N > 0 {
			proof, err := tlog.ProveTree(tree.N, before.N, stored)
			if err != nil {
				return err
			}
			if err := tlog.CheckTree(proof, tree.N, tree.Hash, before.N, before.Hash); err != nil {
				return fmt.Errorf("old checkpoint: %w", err)
			}
		}
	}
	fmt.Printf("ok: %d records\n", tree.N)
	return nil
}

// checkTiles compares every published tile with what the records make of it.
func checkTiles(folder string, size int64, stored hashes) error {
	for level := 0; size>>(height*level) > 0; level++ {
		width := size >> (height * level)
		for n := int64(0); n<<height < width; n++ {
			tile := tlog.Tile{H: height, L: level, N: n, W: 1 << height}
			if rest := width - n<<height; rest < 1<<height {
				tile.W = int(rest)
			}
			want, err := tlog.ReadTileData(tile, stored)
			if err != nil {
				return err
			}
			got, name, err := readTile(folder, tile, "")
			if err != nil {
				return err
			}
			if len(got) > len(want) && strings.Contains(name, ".p/") || !bytes.HasPrefix(got, want) {
				return fmt.Errorf("%s is not what the records make of it", name)
			}
		}
	}
	return nil
}

// readTile reads a tile, or the full one where a partial one was deleted.
func readTile(folder string, tile tlog.Tile, entries string) ([]byte, string, error) {
	full := tile
	full.W = 1 << height
	var err error
	for _, one := range []tlog.Tile{tile, full} {
		// tlog writes tile/<height>/<level>/…, the specification tile/<level>/….
		name := strings.Replace(one.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		if entries != "" {
			name = strings.Replace(name, "tile/0/", "tile/"+entries+"/", 1)
		}
		var data []byte
		if data, err = os.ReadFile(filepath.Join(folder, name)); err == nil {
			return data, name, nil
		}
	}
	return nil, "", err
}

// readBundle reads entries with their big-endian uint16 lengths.
func readBundle(folder string, n, size int64) ([][]byte, error) {
	tile := tlog.Tile{H: height, L: 0, N: n, W: 1 << height}
	if rest := size - n<<height; rest < 1<<height {
		tile.W = int(rest)
	}
	data, name, err := readTile(folder, tile, "entries")
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("%s ends within an entry", name)
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		entries = append(entries, data[2:end])
		data = data[end:]
	}
	full := len(entries) == 1<<height && !strings.Contains(name, ".p/")
	if len(entries) != tile.W && !full {
		return nil, fmt.Errorf("%s holds %d entries, not %d", name, len(entries), tile.W)
	}
	return entries[:tile.W], nil
}

// splitProof cuts a file into its lines, the hashes after the first skip of them, and the note.
func splitProof(file string, skip int) (lines []string, proof []tlog.Hash, rest []byte, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, nil, err
	}
	head, rest, found := bytes.Cut(data, []byte("\n\n"))
	lines = strings.Split(string(head), "\n")
	if !found || len(lines) < skip {
		return nil, nil, nil, errors.New("not a proof")
	}
	for _, line := range lines[skip:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, nil, nil, err
		}
		proof = append(proof, hash)
	}
	return lines, proof, rest, nil
}

// number parses "<word> <decimal without leading zeroes>".
func number(line, word string) (int64, error) {
	text := strings.TrimPrefix(line, word+" ")
	n, err := strconv.ParseInt(text, 10, 64)
	if text == line || err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("not a line %q with a number", word)
	}
	return n, nil
}

func checkProof(file, vkey string) error {
	lines, proof, rest, err := splitProof(file, 3)
	if err != nil {
		return err
	}
	if lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") {
		return errors.New("not a tlog-proof with its record")
	}
	record, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := number(lines[2], "index")
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(rest, vkey)
	if err != nil {
		return err
	}
	if index >= tree.N {
		return errors.New("the index is past the checkpoint")
	}
	leaf := tlog.RecordHash(record)
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
		return err
	}
	fmt.Printf("ok: record %d of %d\n", index, tree.N)
	return nil
}

func checkConsistency(file, old, vkey string) error {
	lines, proof, rest, err := splitProof(file, 1)
	if err != nil {
		return err
	}
	size, err := number(lines[0], "old")
	if err != nil {
		return err
	}
	before, err := readCheckpoint(old, vkey)
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(rest, vkey)
	if err != nil {
		return err
	}
	if size != before.N || size < 1 || size > tree.N {
		return errors.New("the proof begins elsewhere")
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, before.N, before.Hash); err != nil {
		return err
	}
	fmt.Printf("ok: %d records begin with %d\n", tree.N, before.N)
	return nil
}
