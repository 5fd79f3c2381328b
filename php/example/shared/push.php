<?php

declare(strict_types=1);

/** @var string $guest true or false, in JavaScript */
/** @var string $bindUidUrl */

// The tutorial's script, untouched. The last line is ours, in the same script element so that no message comes in between.
return <<<JS
// 建立socket连接
ws = new WebSocket("ws://0.0.0.0:8282");
// 服务端主动推送消息时会触发这里的onmessage
ws.onmessage = function(e){
    // json数据转换成js对象
    var data = eval("("+e.data+")");
    var type = data.type || '';
    switch(type){
        // Events.php中返回的init类型的消息，将client_id发给后台进行uid绑定
        case 'init':
            // 利用jquery发起ajax请求，将client_id发给后端进行uid绑定
            
            if(!$guest){
                 $.post('$bindUidUrl', {client_id: data.client_id}, function(data){}, 'json');
            }
           
            break;
        default :
            // 其它的消息提醒
            messageBox.addNum(1);
    }
};
watchConnection(ws, $guest ? null : '$bindUidUrl');
JS;
