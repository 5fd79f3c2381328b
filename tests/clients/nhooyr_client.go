// nhooyr.io/websocket: sends back what comes until "bye", pings, closes.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"nhooyr.io/websocket"
)

func main() {
	ctx := context.Background()
	socket, _, err := websocket.Dial(ctx, os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	socket.SetReadLimit(1 << 24)
	for {
		kind, data, err := socket.Read(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if string(data) == "bye" {
			break
		}
		if err := socket.Write(ctx, kind, data); err != nil {
			log.Fatal(err)
		}
	}
	// The pong is read meanwhile.
	reading := socket.CloseRead(ctx)
	if err := socket.Ping(ctx); err != nil {
		log.Fatal(err)
	}
	_ = reading
	if err := socket.Close(websocket.StatusNormalClosure, ""); err != nil {
		log.Fatal(err)
	}
	fmt.Println("closed 1000")
}
