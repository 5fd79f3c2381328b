<?php
// Binds client ids to uids, then sends every uid its numbered messages: php bind_and_push.php HOST:PORT MESSAGES < lines
// of "client_id uid".

use GatewayClient\Gateway;

[, Gateway::$registerAddress, $messages] = $argv;

$uids = [];
while (($line = fgets(STDIN)) !== false) {
    [$clientId, $uid] = explode(' ', rtrim($line));
    Gateway::bindUid($clientId, $uid);
    $uids[$uid] = true;
}
for ($number = 0; $number < $messages; $number++) {
    foreach ($uids as $uid => $_) {
        Gateway::sendToUid($uid, json_encode(['uid' => (string) $uid, 'number' => $number]));
    }
}
Gateway::sendToAll('end');
echo json_encode(['online' => Gateway::getAllClientIdCount(), 'uids' => count($uids)]), "\n";
