// Ajax calls carry the page's CSRF token, as yii.js has it in the other example.
$.ajaxSetup({
    headers: { 'X-CSRF-Token': document.querySelector('meta[name=csrf-token]').content },
});
