<?php

declare(strict_types=1);

use GatewayWorker\Lib\Gateway;

/** Handles what the page says: a visitor enters by a name, which is the uid then, and what the visitor says goes to everybody. */
class Events
{
    public static function onMessage(string $client_id, string $message): void
    {
        $message = json_decode($message, true);
        $text = $message['text'] ?? '';
        if (!is_string($text) || trim($text) === '') {
            return;
        }
        if (($message['type'] ?? '') === 'enter') {
            $_SESSION = ['name' => $text];
            Gateway::bindUid($client_id, $text);
            self::tellEverybody('entered');
        } elseif (isset($_SESSION['name'])) {
            self::tellEverybody($text);
        }
    }

    public static function onClose(string $client_id): void
    {
        if (isset($_SESSION['name'])) {
            self::tellEverybody('left');
        }
    }

    private static function tellEverybody(string $text): void
    {
        Gateway::sendToAll(json_encode(['type' => 'said', 'text' => "{$_SESSION['name']}: $text"]));
    }
}
