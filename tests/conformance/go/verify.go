// Verify reads a log of Leverframe with golang.org/x/mod alone: note/ opens the checkpoint, tlog/ holds each proof
// against it. One question as JSON on standard input, one answer as JSON on standard output.
//
// It also answers with what Go makes of the same entries, so that both sides can be compared: the root, all proofs,
// and the checkpoint's text signed by a key of its own.
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type inclusion struct {
	Index  int64
	Leaf   []byte
	Hashes [][]byte
}

type consistency struct {
	Size   int64
	Root   []byte
	Hashes [][]byte
}

type question struct {
	VKey        string
	Note        []byte
	Inclusion   []inclusion
	Consistency []consistency
	Leaves      [][]byte // the whole log, or none
}

type answer struct {
	Problems    []string // empty: everything that was asked about holds
	Origin      string
	Size        int64
	Root        []byte
	OwnRoot     []byte        // of Leaves
	Inclusion   []inclusion   // Go's own proof of each of Leaves
	Consistency []consistency // Go's own proof from each smaller tree
	SignedNote  []byte        // the text, signed by SignedVKey
	SignedVKey  string
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatalf("the question is no JSON: %v", err)
	}
	told := answer{Problems: []string{}}
	opened, err := open(asked, &told)
	if err != nil {
		told.Problems = append(told.Problems, err.Error())
	} else {
		check(asked, &told)
		if err := sign(opened, &told); err != nil {
			log.Fatal(err)
		}
	}
	if err := own(asked.Leaves, &told); err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		log.Fatal(err)
	}
}

// open verifies the note and reads the checkpoint in it: origin, size and root, a line each.
func open(asked question, told *answer) (string, error) {
	verifier, err := note.NewVerifier(asked.VKey)
	if err != nil {
		return "", fmt.Errorf("key: %v", err)
	}
	opened, err := note.Open(asked.Note, note.VerifierList(verifier))
	if err != nil {
		return "", fmt.Errorf("note: %v", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return "", fmt.Errorf("checkpoint: %q is not origin, size and root", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return "", fmt.Errorf("checkpoint: %v", err)
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return "", fmt.Errorf("checkpoint: %v", err)
	}
	told.Origin, told.Size, told.Root = lines[0], size, root[:]
	return opened.Text, nil
}

// check holds every proof of the question against the signed root.
func check(asked question, told *answer) {
	root := hash(told.Root)
	for _, one := range asked.Inclusion {
		proof := tlog.RecordProof(hashes(one.Hashes))
		if err := tlog.CheckRecord(proof, told.Size, root, one.Index, tlog.RecordHash(one.Leaf)); err != nil {
			told.Problems = append(told.Problems, fmt.Sprintf("inclusion of %d: %v", one.Index, err))
		}
	}
	for _, one := range asked.Consistency {
		proof := tlog.TreeProof(hashes(one.Hashes))
		if err := tlog.CheckTree(proof, told.Size, root, one.Size, hash(one.Root)); err != nil {
			told.Problems = append(told.Problems, fmt.Sprintf("consistency from %d: %v", one.Size, err))
		}
	}
}

func sign(text string, told *answer) error {
	secret, public, err := note.GenerateKey(rand.Reader, told.Origin)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return err
	}
	told.SignedVKey = public
	told.SignedNote, err = note.Sign(&note.Note{Text: text}, signer)
	return err
}

// own computes the tree and all proofs of it anew.
func own(leaves [][]byte, told *answer) error {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = stored[index]
		}
		return found, nil
	})
	size := int64(len(leaves))
	for index, leaf := range leaves {
		grown, err := tlog.StoredHashes(int64(index), leaf, reader)
		if err != nil {
			return err
		}
		stored = append(stored, grown...)
	}
	if size == 0 {
		return nil
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		return err
	}
	told.OwnRoot = root[:]
	for index := int64(0); index < size; index++ {
		proof, err := tlog.ProveRecord(size, index, reader)
		if err != nil {
			return err
		}
		told.Inclusion = append(told.Inclusion, inclusion{Index: index, Leaf: leaves[index], Hashes: texts(proof)})
		smaller, err := tlog.TreeHash(index+1, reader)
		if err != nil {
			return err
		}
		continued, err := tlog.ProveTree(size, index+1, reader)
		if err != nil {
			return err
		}
		told.Consistency = append(
			told.Consistency, consistency{Size: index + 1, Root: append([]byte{}, smaller[:]...), Hashes: texts(continued)})
	}
	return nil
}

func hash(raw []byte) (found tlog.Hash) {
	copy(found[:], raw)
	return found
}

func hashes(raw [][]byte) []tlog.Hash {
	found := make([]tlog.Hash, len(raw))
	for i, one := range raw {
		found[i] = hash(one)
	}
	return found
}

func texts(proof []tlog.Hash) [][]byte {
	found := make([][]byte, len(proof))
	for i := range proof {
		found[i] = proof[i][:]
	}
	return found
}
