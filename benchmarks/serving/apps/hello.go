// The same on Go's net/http.
package main

import (
	"io"
	"net/http"
	"os"
	"time"
)

func hello(w http.ResponseWriter, r *http.Request) {
	if r.Method == "POST" {
		w.Header().Set("Content-Type", "application/json")
		io.Copy(w, r.Body)
		return
	}
	switch r.URL.Path {
	case "/slow":
		time.Sleep(50 * time.Millisecond)
	case "/cpu":
		for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "Hello from Effe: 1\n")
}

func main() {
	http.HandleFunc("/", hello)
	http.ListenAndServe("127.0.0.1:"+os.Args[1], nil)
}
