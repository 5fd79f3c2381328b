<?php
// What the usual integration with a framework has its workers do: tell each client who it is.

use GatewayWorker\Lib\Gateway;

class Events
{
    public static function onConnect($clientId)
    {
        Gateway::sendToClient($clientId, json_encode(['type' => 'init', 'client_id' => $clientId]));
    }

    public static function onMessage($clientId, $message)
    {
    }
}
