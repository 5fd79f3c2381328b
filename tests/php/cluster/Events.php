<?php
// A room whose members are anywhere in a cluster.

use GatewayClient\Gateway;

class Events
{
    public static function onConnect($clientId)
    {
        Gateway::sendToClient($clientId, json_encode(['type' => 'init', 'client_id' => $clientId]));
    }

    public static function onMessage($clientId, $message)
    {
        [$word, $rest] = explode(' ', $message, 2) + [1 => ''];
        switch ($word) {
            case 'join':
                Gateway::joinGroup($clientId, 'room');
                Gateway::sendToClient($clientId, 'joined');
                break;
            case 'leave':
                Gateway::leaveGroup($clientId, 'room');
                Gateway::sendToClient($clientId, 'left');
                break;
            case 'say':
                $all = Gateway::getAllClientIdCount();
                Gateway::sendToGroup('room', "$clientId of $all: $rest");
        }
    }
}
