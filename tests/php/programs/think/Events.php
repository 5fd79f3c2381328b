<?php

namespace app\push {

    use GatewayWorker\Lib\Gateway;
    use Workerman\Worker;

    /** A handler in a namespace, as ThinkPHP's extension for GatewayWorker has it, with the application's services beside it. */
    class Events
    {
        private static ?Service $service = null;

        public static function onWorkerStart(Worker $businessWorker)
        {
            self::$service = new Service();
        }

        public static function onConnect($client_id)
        {
            Gateway::sendToClient($client_id, json_encode(['type' => 'init', 'client_id' => $client_id]));
        }

        public static function onWebSocketConnect($client_id, $data)
        {
            $_SESSION['get'] = $data['get'];
            $_SESSION['cookie'] = $data['cookie'];
            $_SESSION['agent'] = $data['server']['HTTP_USER_AGENT'] ?? '';
            $_SESSION['path'] = strtok($data['server']['REQUEST_URI'], '?');
            if (isset($data['get']['uid'])) {
                Gateway::bindUid($client_id, $data['get']['uid']);
            }
        }

        public static function onMessage($client_id, $data)
        {
            Gateway::sendToAll(json_encode(self::$service->answer($client_id, $data)));
        }

        public static function onClose($client_id)
        {
            $name = self::$service->name();
            if ($name !== null) {
                Gateway::sendToAll("logout $name");
            }
        }
    }

    class Service
    {
        public function answer(string $client_id, string $data): mixed
        {
            switch ($data) {
                case 'who':
                    return $_SESSION;
                case 'server':
                    $names = array_keys($_SERVER);
                    sort($names);
                    return [$names, $_SERVER['GATEWAY_CLIENT_ID'] === $client_id, $_SERVER['REMOTE_ADDR']];
                case 'uids':
                    $uids = array_values(Gateway::getAllUidList());
                    sort($uids);
                    return [$uids, Gateway::getUidByClientId($client_id), Gateway::isUidOnline('nobody')];
                case 'nest':
                    $_SESSION['list'][] = ['n' => count($_SESSION['list'] ?? []), 'half' => 0.5, 'yes' => true, 'none' => null];
                    return $_SESSION['list'];
                case 'forget':
                    $_SESSION = null;
                    return 'forgotten';
                default:
                    return [$data, strlen($data)];
            }
        }

        public function name(): ?string
        {
            return $_SESSION['get']['name'] ?? null;
        }
    }
}

namespace {
    // The class that GatewayWorker's own start file is told of.
    class_alias('app\push\Events', 'Events');
}
