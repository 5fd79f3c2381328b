// gorilla/websocket: sends back what comes until "bye", pings, closes.
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

func main() {
	socket, _, err := websocket.DefaultDialer.Dial(os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	socket.SetPongHandler(func(string) error {
		end := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		return socket.WriteControl(websocket.CloseMessage, end, later)
	})
	for {
		kind, data, err := socket.ReadMessage()
		if closed, ok := err.(*websocket.CloseError); ok {
			fmt.Println("closed", closed.Code)
			return
		}
		if err == nil && string(data) == "bye" {
			err = socket.WriteControl(websocket.PingMessage, []byte("are you there"), later)
		} else if err == nil {
			err = socket.WriteMessage(kind, data)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}
