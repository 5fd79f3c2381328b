<?php
// Handles events as a chat would: knows its clients by their sessions, and notes down what happens.

use GatewayWorker\Lib\Gateway;

class Conversation
{
    public static function onConnect($clientId)
    {
        self::note("connect $clientId");
        $_SESSION = ['messages' => 0];
        Gateway::sendToCurrentClient(json_encode(['type' => 'init', 'client_id' => $clientId, 'worker' => getmypid()]));
    }

    public static function onWebSocketConnect($clientId, $data)
    {
        $_SESSION['get'] = $data['get'];
        $_SESSION['cookie'] = $data['cookie'];
        $_SESSION['uri'] = $data['server']['REQUEST_URI'];
        $_SESSION['agent'] = $data['server']['HTTP_USER_AGENT'] ?? null;
    }

    public static function onMessage($clientId, $message)
    {
        $_SESSION['messages']++;
        $answer = ['worker' => getmypid(), 'message' => $message, 'session' => $_SESSION];
        [$word, $argument] = explode(' ', $message, 2) + [1 => ''];
        switch ($word) {
            case 'server':
                $answer['server'] = $_SERVER;
                break;
            case 'join':
                Gateway::joinGroup($clientId, $argument);
                Gateway::bindUid($clientId, "user of $argument");
                $answer['members'] = Gateway::getClientIdCountByGroup($argument);
                $answer['stored'] = Gateway::getSession($clientId);
                break;
            case 'say':
                Gateway::sendToGroup($argument, "$clientId says something", [$clientId]);
                break;
            case 'bye':
                Gateway::closeCurrentClient('bye');

                return;
        }
        Gateway::sendToClient($clientId, json_encode($answer));
    }

    public static function onClose($clientId)
    {
        self::note("close $clientId after " . ($_SESSION['messages'] ?? 'no'));
    }

    private static function note(string $line): void
    {
        file_put_contents(getenv('STACK_DATA') . '/diary', "$line\n", FILE_APPEND | LOCK_EX);
    }
}
