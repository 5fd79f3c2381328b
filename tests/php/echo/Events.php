<?php
// Says to each client who it is, and then what it says.

use GatewayWorker\Lib\Gateway;

class Events
{
    public static function onConnect($clientId)
    {
        Gateway::sendToClient($clientId, json_encode(['type' => 'init', 'client_id' => $clientId]));
    }

    public static function onMessage($clientId, $message)
    {
        Gateway::sendToClient($clientId, $message);
    }
}
