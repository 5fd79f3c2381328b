<?php

use \GatewayWorker\Lib\Gateway;

/** A pond of swimmers in the way of todpole: each says many times a second where it is, and everybody is told. */
class Events
{
    public static function onConnect($client_id)
    {
        Gateway::sendToCurrentClient('{"type":"init","client_id":"' . $client_id . '"}');
    }

    public static function onMessage($client_id, $message)
    {
        $data = json_decode($message, true);
        if (!$data) {
            return;
        }
        switch ($data['type']) {
            case 'login':
                $_SESSION['id'] = $data['id'];
                Gateway::sendToCurrentClient(json_encode(['type' => 'welcome', 'id' => $_SESSION['id']]));
                return;
            case 'update':
                Gateway::sendToAll(json_encode([
                    'type' => 'update',
                    'id' => $_SESSION['id'],
                    'x' => $data['x'] + 0,
                    'y' => $data['y'] + 0,
                    'name' => isset($data['name']) ? $data['name'] : 'Guest.' . $_SESSION['id'],
                ]), null, [$client_id]);
                return;
            case 'message':
                // What a handler gives is nobody's.
                return Gateway::sendToAll(json_encode(['type' => 'message', 'id' => $_SESSION['id'], 'text' => $data['text']]));
            case 'poke':
                Gateway::sendToAll(json_encode(['type' => 'poke', 'by' => $_SESSION['id']]), [$data['who'], $client_id]);
                return;
            case 'throw out':
                Gateway::closeClient($data['who'], json_encode(['type' => 'out']));
                return;
            case 'count':
                Gateway::sendToCurrentClient(json_encode([Gateway::getAllClientCount(), Gateway::isOnline($data['who'])]));
        }
    }

    public static function onClose($client_id)
    {
        if (isset($_SESSION['id'])) {
            // PHP does not mind how a class is written.
            GateWay::sendToAll(json_encode(['type' => 'closed', 'id' => $_SESSION['id']]));
        }
    }
}
