<?php

declare(strict_types=1);

return [
    'A token is to be asked for by POST.' => '令牌须以 POST 请求。',
    'Answer within' => '响应时间',
    'as in php.ini' => '取自 php.ini',
    'Bytes' => '字节',
    'Clients' => '客户端',
    'connected' => '已连接',
    'connecting' => '正在连接',
    'disconnected' => '已断开',
    'everybody' => '所有人',
    'Failure' => '失败原因',
    'Gateway' => '推送网关',
    'Give one of --binary and --text.' => '--binary 与 --text 只能给出一个。',
    'Group' => '分组',
    'Groups' => '分组',
    'Method' => '方法',
    'Nobody can be left out of --client=….' => '--client=… 只有一个客户端，不能再排除。',
    'Nobody is logged in.' => '尚未登录。',
    'Only the first {n} are shown.' => '只显示前 {n} 次。',
    'Receivers' => '接收者',
    'reconnecting' => '正在重新连接',
    'Register address' => '注册地址',
    'Sent to {n, plural, =0{nobody, since no client is online} one{1 client} other{# clients}}.' =>
        '{n, plural, =0{没有客户端在线，未发给任何人} other{已发给 # 个客户端}}。',
    'That is no JSON: {why}.' => '这不是 JSON：{why}。',
    'The client_id is to be posted.' => 'client_id 须以 POST 提交。',
    'The client_id of the init message is missing or is none.' => '缺少 init 消息中的 client_id，或其格式不对。',
    'The message comes first: yii gateway/send MESSAGE --uid=…' =>
        '消息须在前：yii gateway/send 消息 --uid=…',
    'The proof of the init message is missing, or is not that of the client_id.' =>
        '缺少 init 消息中的 proof，或它与 client_id 不符。',
    'The push gateway cannot be reached.' => '无法连接推送网关。',
    'Time' => '用时',
    'To whom? Give one of --uid=…, --group=…, --client=… and --all.' =>
        '发给谁？请在 --uid=…、--group=…、--client=… 和 --all 中给出一个。',
    'Uids' => '用户（uid）',
    'Whom does --{option} leave out? Give --{option}=…, several separated by commas.' =>
        '--{option} 要排除谁？请写 --{option}=…，多个以逗号分隔。',
    '{id} is no client_id.' => '{id} 不是 client_id。',
    '{n} calls of the gateway in {ms} ms, {failures} failed' => '调用网关 {n} 次，共 {ms} 毫秒，失败 {failures} 次',
];
